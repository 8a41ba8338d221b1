"""Write down a mail to a customer; `outbox` sends it. Each domain says what its mails are about.

A notice is a row of the caller's transaction: if that rolls back, nothing is sent, and if it
commits, the mail will be sent even if this process dies now. Its kind and reference name the
cause, so that a repeated webhook or sweep mails once. The facts are all that a mail says beside
the customer's present balance: amounts as integers, instants as ISO texts.
"""

from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress

from accounts.models import User
from billing.models import Notice, NotificationSettings, Order

Kind = Notice.Kind

# The field of NotificationSettings that switches a kind off. Receipts and security have none.
SWITCHES = {
    Kind.LOW_BALANCE: "wants_low_balance",
    Kind.LOT_EXPIRING: "wants_lot_expiring",
    Kind.TOP_UP_SUCCEEDED: "wants_top_up_succeeded",
}

# What anybody can cause at will who has an account. Until an address is verified it may be somebody
# else's, who must not be mailed a hundred times, with a key's name of the sender's choosing in it.
FOR_KNOWN_ADDRESSES = (
    Kind.NEW_KEY,
    Kind.KEY_ROTATED,
    Kind.KEY_REVOKED,
    Kind.NEW_SIGN_IN,
    Kind.PASSWORD_CHANGED,
    Kind.ADDRESS_ASKED,
)


def notify(
    user: User, kind: Notice.Kind, *, reference: str, to: str = "", **facts: Any
) -> Notice | None:
    """Write down a mail, to be sent once the caller's transaction commits. Safe to repeat.

    It goes to the address that the customer has then, unless `to` names another. Returns the
    notice; the first one if this cause had one before; None if the customer switched this kind
    off, or it is not for an address that may be anybody's.
    """
    if is_switched_off(user, kind):
        return None
    if kind in FOR_KNOWN_ADDRESSES and not is_known_address(user):
        return None
    notice, _ = Notice.objects.get_or_create(
        kind=kind, reference=reference, defaults={"user": user, "address": to, "facts": facts}
    )
    return notice


def is_switched_off(user: User, kind: Notice.Kind) -> bool:
    """Tell whether the customer does not want mails of this kind."""
    switch = SWITCHES.get(kind)
    if switch is None:
        return False
    return NotificationSettings.objects.filter(user=user, **{switch: False}).exists()


def is_known_address(user: User) -> bool:
    """Tell whether the address is the customer's own, as far as we know.

    It was verified, or never had to be because staff made the account, or its owner has paid.
    """
    unverified = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=False)
    paid = Order.objects.filter(user=user, fulfilled_at__isnull=False)
    return not unverified.exists() or paid.exists()


def as_fact(at: datetime | None) -> str | None:
    """Return an instant as a notice keeps it."""
    return at.isoformat(timespec="seconds") if at else None
