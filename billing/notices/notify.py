"""Write down a mail to a customer; `outbox` sends it. Each domain defines its own mails.

A notice is a row of the caller's transaction: if that rolls back, nothing is sent; if it commits,
the mail will be sent even if this process dies. Kind and reference name the cause, so that a
repeated webhook or sweep mails once. The facts are what a mail says beside the customer's present
balance: amounts as integers, instants as ISO texts.
"""

from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress

from accounts.addresses import has_left
from accounts.models import Team, User
from accounts.teams.members import members_who
from accounts.teams.roles import Deed
from billing.models import Notice, NotificationSettings, Order
from billing.notices.webhooks.deliveries import announce

Kind = Notice.Kind

# The field of NotificationSettings that switches a kind off. Receipts and security have none.
SWITCHES = {
    Kind.LOW_BALANCE: "wants_low_balance",
    Kind.LOT_EXPIRING: "wants_lot_expiring",
    Kind.TOP_UP_SUCCEEDED: "wants_top_up_succeeded",
    Kind.MONTHLY_SUMMARY: "wants_monthly_summary",
}

# Mails that anybody with an account can cause at will. An unverified address may belong to somebody
# else, who must not get a hundred mails with a key's name that the sender chose.
FOR_KNOWN_ADDRESSES = (
    Kind.NEW_KEY,
    Kind.KEY_ROTATED,
    Kind.KEY_REVOKED,
    Kind.SPEND_SPIKE,
    Kind.NEW_SIGN_IN,
    Kind.PASSWORD_CHANGED,
    Kind.SECOND_FACTOR,
    Kind.ADDRESS_ASKED,
    Kind.WEBHOOK_OFF,
)


def notify(
    user: User,
    kind: Notice.Kind,
    *,
    reference: str,
    to: str = "",
    team: Team | None = None,
    **facts: Any,
) -> Notice | None:
    """Write down a mail, to be sent once the caller's transaction commits. Safe to repeat.

    It goes to the address that the customer has when it is sent, unless `to` names another, and its
    links lead to the pages of `team`, if it is about one that is not their own. Returns
    the notice, which is the earlier one if this kind and reference had one; None if the customer
    switched this kind off or has left, or if it needs a known address and theirs is not known.
    """
    if is_switched_off(user, kind, team) or has_left(user):
        return None
    if kind in FOR_KNOWN_ADDRESSES and not is_known_address(user):
        return None
    notice, _ = Notice.objects.get_or_create(
        kind=kind,
        reference=reference,
        user=user,
        defaults={"team": team, "address": to, "facts": facts},
    )
    return notice


def notify_members(
    team: Team, deed: Deed, kind: Notice.Kind, *, reference: str, **facts: Any
) -> None:
    """Write down a mail to every member who may do this, and what webhooks are sent of it.

    Safe to repeat.
    """
    announce(team, kind, reference=reference, facts=facts)
    for user in members_who(team, deed):
        notify(user, kind, reference=reference, team=team, **facts)


def is_switched_off(user: User, kind: Notice.Kind, team: Team | None) -> bool:
    """Tell whether the customer does not want mails of this kind."""
    switch = SWITCHES.get(kind)
    if switch is None:
        return False
    return NotificationSettings.objects.filter(team=team, user=user, **{switch: False}).exists()


def is_known_address(user: User) -> bool:
    """Tell whether the address is the customer's own, as far as we know.

    It was verified, did not need to be because staff made the account, or its owner has paid.
    """
    unverified = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=False)
    paid = Order.objects.filter(buyer=user, fulfilled_at__isnull=False)
    return not unverified.exists() or paid.exists()


def as_fact(at: datetime | None) -> str | None:
    """Return an instant as the ISO text that a notice stores."""
    return at.isoformat(timespec="seconds") if at else None
