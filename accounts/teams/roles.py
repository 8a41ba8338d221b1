"""What each role may see and do: the one table that views, templates, the API and tests read."""

from collections.abc import Iterable
from enum import StrEnum

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from accounts.models import Membership, Role
from accounts.teams.exceptions import NotAllowed


class Deed(StrEnum):
    """Something that a member may see or do in a team."""

    SEE_BALANCE = "see the balance"
    SEE_OWN_USAGE = "see one's own usage"
    SEE_ALL_USAGE = "see everybody's usage"
    MAKE_KEYS = "make API keys"
    MANAGE_ALL_KEYS = "see and change everybody's API keys"
    SEE_ORDERS = "see orders and statements"
    BUY = "buy, redeem codes and ask for refunds"
    TOP_UP = "set up automatic top-up"
    GET_MONEY_MAIL = "get mails about money"
    GET_KEY_MAIL = "get mails about everybody's keys"
    SEE_MEMBERS = "see who is in the team"
    MANAGE_MEMBERS = "invite, remove and cap members"
    SEE_EVENTS = "read what happened in the team"
    CHANGE_ROLES = "change roles and hand over ownership"
    CHANGE_TEAM = "rename and close the team"
    MANAGE_WEBHOOKS = "see and change webhooks"


OWNER, ADMIN, DEVELOPER, BILLING = Role.OWNER, Role.ADMIN, Role.DEVELOPER, Role.BILLING

ALLOWED: dict[Deed, frozenset[Role]] = {
    Deed.SEE_BALANCE: frozenset({OWNER, ADMIN, DEVELOPER, BILLING}),
    Deed.SEE_OWN_USAGE: frozenset({OWNER, ADMIN, DEVELOPER, BILLING}),
    Deed.SEE_ALL_USAGE: frozenset({OWNER, ADMIN}),
    Deed.MAKE_KEYS: frozenset({OWNER, ADMIN, DEVELOPER}),
    Deed.MANAGE_ALL_KEYS: frozenset({OWNER, ADMIN}),
    Deed.SEE_ORDERS: frozenset({OWNER, BILLING}),
    Deed.BUY: frozenset({OWNER, BILLING}),
    Deed.TOP_UP: frozenset({OWNER, BILLING}),
    Deed.GET_MONEY_MAIL: frozenset({OWNER, BILLING}),
    Deed.GET_KEY_MAIL: frozenset({OWNER, ADMIN}),
    Deed.SEE_MEMBERS: frozenset({OWNER, ADMIN, DEVELOPER, BILLING}),
    Deed.MANAGE_MEMBERS: frozenset({OWNER, ADMIN}),
    Deed.SEE_EVENTS: frozenset({OWNER, ADMIN}),
    Deed.CHANGE_ROLES: frozenset({OWNER}),
    Deed.CHANGE_TEAM: frozenset({OWNER}),
    # What is sent there tells of orders, too.
    Deed.MANAGE_WEBHOOKS: frozenset({OWNER, ADMIN}),
}

# The table above in a few words, for whoever gives a role.
ROLE_WORDS: dict[Role, str] = {
    OWNER: _("everything, also roles and closing the team"),
    ADMIN: _("members, caps, everybody's keys and usage, webhooks; buys nothing"),
    DEVELOPER: _("makes keys and sees their own usage"),
    BILLING: _("buys, refunds and reads statements; no keys"),
}


def described_roles(roles: Iterable[Role]) -> list[tuple[str, str]]:
    """Return the name of each role, and in a few words what it may do."""
    return [(str(role.label), gettext(ROLE_WORDS[role])) for role in roles]


def may(membership: Membership, deed: Deed) -> bool:
    """Tell whether a member may do this."""
    return Role(membership.role) in ALLOWED[deed]


def demand(membership: Membership, deed: Deed) -> None:
    """Raise NotAllowed unless a member may do this."""
    if not may(membership, deed):
        raise NotAllowed(f"Your role in this team, {membership.role}, may not {deed}.")


def may_act_on(membership: Membership, role: str) -> bool:
    """Tell whether a member may invite, remove or cap somebody of this role.

    Nobody but an owner touches an owner.
    """
    return may(membership, Deed.MANAGE_MEMBERS) and (
        role != OWNER or may(membership, Deed.CHANGE_ROLES)
    )
