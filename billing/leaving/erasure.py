"""Overwrite what is personal about somebody who leaves. Each column is listed here, once.

Rows of the books stay, for they are what taxes and disputes are decided by: orders, ledger, usage,
and Stripe's numbers of the customer and the payments. The ledger itself can't be changed, so no
reason in it may name a person.
"""

from urllib.parse import quote

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.db.models import F, Model, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Replace

from accounts.addresses import NOWHERE
from accounts.audit import forget_person
from accounts.models import Company, Invitation, Team, User
from billing.gifts.welcome import forget_address
from billing.models import (
    Approval,
    AutoTopUp,
    Export,
    InboxItem,
    Notice,
    NotificationSettings,
    Order,
    SignIn,
    StaffNote,
    StripeCustomer,
    StripeEvent,
    TopUpConsent,
    TopUpPayment,
    Wallet,
    WelcomeCredit,
)
from billing.notices.notify import is_known_address
from billing.notices.status.subscriptions import forget_subscriber


def erase(user: User) -> None:
    """Overwrite a locked person's columns, inside the caller's transaction."""
    email, name = user.email, f"deleted-{user.pk}{NOWHERE}"
    if is_known_address(user):
        forget_subscriber(email)
    for session in UserSession.objects.filter(user=user):
        session.end()
    for model in (EmailAddress, Authenticator, UserSession, SignIn, Notice):
        model.objects.filter(user=user).delete()
    Order.objects.filter(buyer=user).update(
        client_address=None, stripe_session_url="", receipt_url="", invoice_url=""
    )
    TopUpConsent.objects.filter(given_by=user).update(address=None)
    AutoTopUp.objects.filter(wallet__team__person=user).update(card_label="", off_detail="")
    StripeCustomer.objects.filter(wallet__team__person=user).update(email="")
    for welcome in WelcomeCredit.objects.filter(user=user):
        forget_address(welcome)
    # A form's answers may name an address.
    wallets = Wallet.objects.filter(team__person=user).values_list("pk", flat=True)
    Approval.objects.filter(
        page=Wallet._meta.label_lower, object_id__in=[str(pk) for pk in wallets]
    ).update(answers={}, reason="")
    StaffNote.objects.filter(wallet__team__person=user).delete()
    # A list that was searched for the address.
    Export.objects.filter(query__icontains=quote(email)).delete()
    Company.objects.filter(team__person=user).delete()
    NotificationSettings.objects.filter(user=user).exclude(team__person=user).delete()
    forget_person(user)
    _replace_texts(email, name)
    user.set_unusable_password()
    user.email, user.is_active, user.last_login = name, False, None
    user.time_zone = user.language = ""
    user.save(
        update_fields=["email", "is_active", "last_login", "password", "time_zone", "language"]
    )
    user.groups.clear()


def _replace_texts(email: str, name: str) -> None:
    """Overwrite an address where it stands among other words."""
    _replace(LogEntry.objects.all(), ("object_repr", "change_message"), email, name)
    _replace(Invitation.objects.all(), ("email",), email, name)
    _replace(Team.objects.all(), ("name",), email, name)
    _replace(StripeCustomer.objects.all(), ("email",), email, name)
    _replace(InboxItem.objects.all(), ("summary",), email, name)
    _replace_json(InboxItem, "detail", email, name)
    _replace_json(StripeEvent, "payload", email, name)
    _replace_json(TopUpPayment, "request", email, name)


def _replace(rows: QuerySet[Model], columns: tuple[str, ...], email: str, name: str) -> None:
    for column in columns:
        found = rows.filter(**{f"{column}__icontains": email})
        found.update(**{column: Replace(F(column), Value(email), Value(name))})


def _replace_json(model: type[Model], column: str, email: str, name: str) -> None:
    rows = model._default_manager.annotate(words=Cast(column, TextField()))
    for row in rows.filter(Q(words__icontains=email)):
        setattr(row, column, _without(getattr(row, column), email, name))
        row.save(update_fields=[column])


def _without(value: object, email: str, name: str) -> object:
    match value:
        case str():
            return name if value.lower() == email else value.replace(email, name)
        case list():
            return [_without(each, email, name) for each in value]
        case dict():
            return {key: _without(each, email, name) for key, each in value.items()}
        case _:
            return value
