"""What allauth calls on a sign-in, a verified address or a change of how a person signs in.

Like a view, it takes what is needed from the request and calls one function of a domain.
"""

from smtplib import SMTPException
from typing import Any

import structlog
from allauth.account.models import EmailAddress
from allauth.core import context as allauth_context
from allauth.core.internal import ratelimit
from allauth.usersessions.internal.flows.sessions import end_other_sessions
from django.conf import settings
from django.contrib import messages
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_noop

from accounts.adapter import AccountAdapter as PlainAccountAdapter
from accounts.addresses import is_confirmed, lock_user
from accounts.models import User
from billing.gifts.welcome import grant_welcome_credit
from billing.keys.takeovers import end_doubtful
from billing.ledger.credits import lock_wallet
from billing.ledger.wallets import wallet_of
from billing.notices.security import (
    notify_address_asked,
    notify_address_changed,
    notify_password_changed,
    notify_password_reset,
    notify_second_factor,
)
from billing.notices.sign_ins import (
    is_known_device,
    make_device_id,
    name_device,
    note_sign_in,
    remember_device,
)
from billing.notices.status.subscriptions import move_subscription
from billing.top_ups.cards import disown_cards
from common import money
from common.client_networks import client_network

# Browsers keep no cookie for longer than 400 days.
DEVICE_COOKIE_S = 400 * 24 * 3600
MOST_USER_AGENT = 400
# What a mail says of each change to the second step of logging in.
NEW_FACTORS = ("totp_activated", "webauthn_added")
FACTOR_CHANGES = {
    "totp_activated": gettext_noop(
        "Logging in takes a code of an authenticator app from now on."
        " Every other browser is signed out."
    ),
    "totp_deactivated": gettext_noop("Logging in takes no code of an authenticator app any more."),
    "recovery_codes_generated": gettext_noop(
        "New recovery codes were made; older ones no longer work."
    ),
    "webauthn_added": gettext_noop(
        "A passkey or security key was added: it logs in from now on."
        " Every other browser is signed out."
    ),
    "webauthn_removed": gettext_noop("A passkey or security key was removed."),
}

log = structlog.get_logger(__name__)


class AccountAdapter(PlainAccountAdapter):
    """The accounts' adapter, which also notes sign-ins, sends notices and gives welcome credits."""

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Confirm an address, and give its owner the welcome credit if it is new. Shows no refusal.

        Both or neither: an address is new only once, so a credit missed then is never given. Safe
        to repeat and to race: the database decides whose an address is.
        """
        words = {"email": email_address.email}
        try:
            with transaction.atomic():
                lock_user(email_address.user)
                asked = EmailAddress.objects.filter(pk=email_address.pk).first()
                if asked is not None and asked.verified:
                    # The same link was opened twice.
                    return True
                if asked is not None and self._confirm_and_welcome(request, asked):
                    return True
        except IntegrityError:
            log.info("address_taken_meanwhile", user_id=email_address.user_id)
        failed = "account/messages/email_confirmation_failed.txt"
        self.add_message(request, messages.ERROR, failed, words)
        return False

    def _confirm_and_welcome(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        user, new_email = email_address.user, email_address.email
        old_email = user.email
        if User.objects.filter(email=new_email).exclude(pk=user.pk).exists():
            return False
        was_theirs = is_confirmed(user)
        is_new = bool(super().confirm_email(request, email_address))
        if is_new and new_email != old_email:
            notify_address_changed(user, old_email=old_email, new_email=new_email)
            # Of an address that was never theirs, they may take nothing along.
            if was_theirs:
                move_subscription(old=old_email, new=new_email)
        if is_new:
            entry = grant_welcome_credit(
                email_address.user,
                email=email_address.email,
                ip_address=self.get_client_ip(request),
            )
            if entry is not None:
                messages.success(
                    request,
                    gettext("Welcome! {amount_credits} credits are in your balance.").format(
                        amount_credits=money.credits(entry.amount_credits)
                    ),
                )
        return is_new

    @transaction.atomic
    def reset_password(self, user: User, password: str) -> None:
        """Set the password that the reader of the mailed link chose, and confirm the address.

        If it was never confirmed, whatever a stranger may have made ends, and is listed by mail.
        """
        was_confirmed = is_confirmed(user)
        ended = end_doubtful(user)
        if not was_confirmed:
            lock_wallet(wallet_of(user).pk)
            disown_cards(user)
        # Nobody who knew the old password gets another address in.
        EmailAddress.objects.filter(user=user, verified=False).exclude(email=user.email).delete()
        self.set_password(user, password)
        address, _ = EmailAddress.objects.get_or_create(user=user, email=user.email)
        if not address.verified:
            self.confirm_email(self.request, address)
        notify_password_reset(user, ended=ended.as_facts(), **self._origin())
        if ended:
            messages.warning(
                self.request, gettext("What was made before ended: {ended}.").format(ended=ended)
            )

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a link. If the mail server is away, a new customer still gets the account.

        Not as a notice: notices are kept in the database, and these links are secrets.
        """
        try:
            super().send_mail(template_prefix, email, context)
        except (SMTPException, OSError) as error:
            log.warning("account_mail_failed", template=template_prefix, error=str(error))
            messages.error(
                allauth_context.request,
                gettext("The mail could not be sent. Please ask for it again in a few minutes."),
            )

    def send_confirmation_mail(
        self, request: HttpRequest, emailconfirmation: Any, signup: bool
    ) -> None:
        """Send a link, and notify the present address if the new one is to replace it."""
        super().send_confirmation_mail(request, emailconfirmation, signup)
        asked: EmailAddress = emailconfirmation.email_address
        user = asked.user
        if isinstance(user, User) and asked.email != user.email:
            notify_address_asked(
                user, reference=f"address:{asked.pk}", new_email=asked.email, **self._origin()
            )

    def send_notification_mail(
        self,
        template_prefix: str,
        user: User,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """Send a notice about a security change; notices carry everything that is no secret."""
        match template_prefix.partition("/email/")[2]:
            case "password_changed" | "password_set":
                notify_password_changed(user, **self._origin())
            case "password_reset":
                # `reset_password` sends this notice, because it knows what ended.
                pass
            case "email_changed":
                # `confirm_email` sends this notice, because it knows the old address.
                pass
            case key if key in FACTOR_CHANGES:
                notify_second_factor(user, change=FACTOR_CHANGES[key], **self._origin())
                if key in NEW_FACTORS:
                    # They logged in without it.
                    end_other_sessions(self.request, user)
            case "email_deleted":
                # A change of address that was asked for and given up: nothing has changed.
                pass
            case _:
                super().send_notification_mail(template_prefix, user, context, email)

    def _origin(self) -> dict[str, str]:
        """Return the device and address of the present request, for a mail about it."""
        seen = self._seen()
        return {"device_name": name_device(seen["user_agent"]), "address": seen["address"]}

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """Compose a mail that automatic replies don't answer."""
        given = {"Auto-Submitted": "auto-generated", **(headers or {})}
        message: EmailMessage = super().render_mail(template_prefix, email, context, given)
        return message

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt before it is made, and refuse it if there were too many.

        A right password takes the counts back. Raises ValidationError.
        """
        super().pre_authenticate(request, **credentials)
        email = credentials.get("email", "").lower()
        if self._known_device(email):
            return
        anywhere = ratelimit.consume(
            request, app="allauth.account", action="login_failed_elsewhere", key=email
        )
        if not anywhere:
            raise self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage.usage.extend(anywhere.usage)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count failures by account and device if they know each other, or account and network.

        So nobody locks a customer out from elsewhere.
        """
        email = credentials.get("email", "").lower()
        place = client_network(self.get_client_ip(request)) or "unknown"
        return f"{email} {self._known_device(email) or place}"

    def _known_device(self, email: str) -> str:
        device_id = self._device_id()
        return device_id if is_known_device(email, device_id) else ""

    def _device_id(self) -> str:
        return str(self.request.COOKIES.get(settings.DEVICE_COOKIE_NAME, ""))[:64]

    def post_login(self, request: HttpRequest, user: User, **given: Any) -> HttpResponse:
        """Note the browser and the network, and answer as allauth does."""
        response: HttpResponse = super().post_login(request, user, **given)
        device_id = self._device_id() or make_device_id()
        note_sign_in(user, device_id=device_id, **self._seen())
        self._keep_device(response, device_id)
        return response

    def remember_browser(self, response: HttpResponse, user: User) -> None:
        """Let a browser in which the password was reset pass, however many fail elsewhere."""
        device_id = self._device_id() or make_device_id()
        remember_device(user, device_id=device_id, **self._seen())
        self._keep_device(response, device_id)

    def _seen(self) -> dict[str, str]:
        agent = self.request.headers.get("User-Agent", "")[:MOST_USER_AGENT]
        return {"user_agent": agent, "address": self.get_client_ip(self.request)}

    def _keep_device(self, response: HttpResponse, device_id: str) -> None:
        response.set_cookie(
            settings.DEVICE_COOKIE_NAME,
            device_id,
            max_age=DEVICE_COOKIE_S,
            secure=settings.IS_HTTPS,
            httponly=True,
            samesite="Lax",
        )
