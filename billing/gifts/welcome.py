"""Welcome credit: for a verified address, once per person, as far as we can know.

Addresses are compared as mail providers deliver them. Within WELCOME_NETWORK_DAYS a network gets
one welcome, and a mail domain WELCOME_PER_DOMAIN, unless anybody can have an address there. A
refusal is recorded for staff and not shown to the customer, so that somebody who collects accounts
learns nothing.
"""

import unicodedata
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import User
from billing.ledger.references import Welcome
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import LedgerEntry, WelcomeCredit
from common.client_networks import SITE_IPV6_BITS, network_of
from common.locks import lock_names

# Dots don't matter, and both domains are the same: https://support.google.com/mail/answer/7436150
GMAIL = {"gmail.com", "googlemail.com"}

log = structlog.get_logger(__name__)


def grant_welcome_credit(user: User, *, email: str, ip_address: str) -> LedgerEntry | None:
    """Grant the credit to a user who verified an address. None if it is off, given or refused.

    Safe to repeat and to race: calls for the same user, address or network wait for each other.
    """
    if not settings.WELCOME_CREDITS:
        return None
    network = network_of(ip_address, ipv6_bits=SITE_IPV6_BITS)
    return _grant(user, address=normalize_address(email), network=network)


@transaction.atomic
def _grant(user: User, *, address: str, network: str) -> LedgerEntry | None:
    names = (f"user:{user.pk}", address, network, domain_of(address))
    lock_names(*(f"welcome {name}" for name in names))
    given = WelcomeCredit.objects.filter(refusal="")
    if given.filter(user=user).exists():
        return None
    refusal = _find_refusal(address=address, network=network)
    WelcomeCredit.objects.create(
        user=user,
        address=address,
        network=network,
        domain=domain_of(address),
        refusal=refusal,
        credits=0 if refusal else settings.WELCOME_CREDITS,
    )
    if refusal:
        log.info("welcome_refused", user_id=user.pk, refusal=refusal)
        return None
    return grant_credits(
        wallet_of(user),
        credits=settings.WELCOME_CREDITS,
        reason="Welcome credit",
        expires_at=timezone.now() + timedelta(days=settings.WELCOME_CREDIT_DAYS),
        reference=Welcome(user.pk),
    )


def _find_refusal(*, address: str, network: str) -> str:
    given = WelcomeCredit.objects.filter(refusal="")
    if given.filter(address__in=_spellings(address)).exists():
        return WelcomeCredit.Refusal.ADDRESS
    since = timezone.now() - timedelta(days=settings.WELCOME_NETWORK_DAYS)
    if given.filter(network__in=_spellings(network), created_at__gt=since).exists():
        return WelcomeCredit.Refusal.NETWORK
    domain = domain_of(address)
    if domain not in settings.WELCOME_FREE_MAIL:
        of_domain = given.filter(domain__in=_spellings(domain), created_at__gt=since)
        if of_domain.count() >= settings.WELCOME_PER_DOMAIN:
            return WelcomeCredit.Refusal.DOMAIN
    return ""


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]


def forget_address(welcome: WelcomeCredit) -> None:
    """Overwrite whom a welcome greeted, so that address, network and domain still count."""
    columns = ("address", "network", "domain")
    for column in columns:
        setattr(welcome, column, _digest(getattr(welcome, column)))
    welcome.save(update_fields=columns)


def _spellings(value: str) -> tuple[str, str]:
    """Return a value as it is kept of customers, and of those who have left."""
    return value, _digest(value)


def _digest(value: str) -> str:
    """Return a keyed digest: addresses and networks are few enough to try them all."""
    return salted_hmac("welcome", value, algorithm="sha256").hexdigest()


def normalize_address(email: str) -> str:
    """Return an address as its provider compares it: without case, +tag and, at Gmail, dots.

    An internationalised domain is returned in its ASCII form.
    """
    local, _, domain = unicodedata.normalize("NFKC", email.strip()).casefold().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        # A label is too long or empty. No mail is delivered there; the domain is only compared.
        log.info("welcome_odd_domain")
    local = local.partition("+")[0]
    if domain in GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"[:254]
