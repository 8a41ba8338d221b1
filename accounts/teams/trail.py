"""The audit trail of a team as its admins read it."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts.models import Team, TeamEvent, User
from common import money

PAGE_SIZE = 50
# In what the amounts of an event are.
CURRENCY = "currency"
LEFT = (TeamEvent.Action.MEMBER_LEFT, TeamEvent.Action.MEMBER_REMOVED)


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of events, newest first. `next_before` is the cursor of the page after it."""

    events: list[TeamEvent]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a deed made of one thing; empty where nothing is said of it."""

    name: str
    before: str
    after: str


def events_of(team: Team, *, person: User | None = None, action: str = "") -> QuerySet[TeamEvent]:
    """Return the events of a team, newest first: those of one person, done by them or to them, and
    of one kind, if named.
    """
    events = TeamEvent.objects.filter(team=team).select_related("actor", "member", "invitation")
    if person is not None:
        events = events.filter(Q(actor=person) | Q(member=person))
    if action:
        events = events.filter(action=action)
    return events.order_by("-pk")


def read_event_page(
    events: QuerySet[TeamEvent], *, before: int | None = None, size: int = PAGE_SIZE
) -> EventPage:
    """Return the events older than the cursor `before`."""
    if before is not None:
        events = events.filter(pk__lt=before)
    # One event more than the page shows tells whether there is a next page.
    found = list(events[: size + 1])
    page = found[:size]
    return EventPage(page, page[-1].pk if len(found) > size else None)


def people_in(team: Team) -> QuerySet[User]:
    """Return who is or was a member of a team."""
    gone = TeamEvent.objects.filter(team=team, action__in=LEFT).values("member")
    return User.objects.filter(Q(memberships__team=team) | Q(pk__in=gone)).distinct().order_by("pk")


def whom(event: TeamEvent) -> str:
    """Return whom or what a deed was about, in words; empty if it was about who did it."""
    if event.member is not None and event.member_id != event.actor_id:
        return str(event.member)
    if event.invitation is not None and event.invitation.accepted_by_id != event.actor_id:
        return event.invitation.email
    return event.subject


def changes_of(event: TeamEvent) -> list[Change]:
    """Return what a deed changed, in the order in which it was written down."""
    names = [*event.before, *(name for name in event.after if name not in event.before)]
    changes = (
        Change(_name(name), _word(event.before, name), _word(event.after, name))
        for name in names
        if name != CURRENCY
    )
    return [change for change in changes if change.before != change.after]


def _name(name: str) -> str:
    """Return what a fact is called; its unit is said with its value."""
    return name.removesuffix("_cents").removesuffix("_credits").replace("_", " ")


def _word(facts: dict[str, Any], name: str) -> str:
    if name not in facts:
        return ""
    value = facts[name]
    if isinstance(value, int) and name.endswith("_cents") and CURRENCY in facts:
        return money.price(value, facts[CURRENCY])
    if isinstance(value, int) and name.endswith("_credits"):
        return gettext("{value} credits").format(value=money.credits(value))
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
