"""Teams in templates: what a member may do (`{% if seat|may:"BUY" %}`), and the switcher."""

from django import template
from django.db.models import Exists, OuterRef
from django.template import Context
from django.urls import reverse
from django.utils.translation import get_language, gettext

from accounts.models import Membership, TeamEvent
from accounts.teams import members, roles, trail
from accounts.teams.addressing import addressing

register = template.Library()


@register.filter
def may(seat: Membership | None, deed: str) -> bool:
    """Tell whether a member may do this; False for visitors."""
    return bool(seat) and roles.may(seat, roles.Deed[deed])  # type: ignore[arg-type]


@register.filter
def in_a_sentence(noun: str) -> str:
    """Return a noun in the reader's language as it stands within a sentence.

    German gives it its capital letter everywhere.
    """
    word = gettext(str(noun))
    return word if get_language() == "de" else word.lower()


@register.filter
def is_alone(seat: Membership | None) -> bool:
    """Tell whether a reader is the only member of their own team, and sees no team words."""
    if not seat:
        return False
    return seat.team.is_personal and _teams_of_reader(seat).get(seat.team_id) is False


@register.filter
def whom(event: TeamEvent) -> str:
    """Return whom or what a deed was about."""
    return trail.whom(event)


@register.filter
def changes(event: TeamEvent) -> list[trail.Change]:
    """Return what a deed changed."""
    return trail.changes_of(event)


@register.inclusion_tag("components/_team_switcher.html", takes_context=True)
def team_switcher(context: Context, *, in_menu: bool = False) -> dict[str, object]:
    """List the teams of a reader who is in several, with the addresses of their dashboards."""
    seat: Membership | None = context.get("seat")
    if not seat or hasattr(context.get("request"), "visit"):
        # Staff who visit one member see no other team.
        return {}
    if len(_teams_of_reader(seat)) < 2:
        return {}
    return {"places": _places(seat), "present": str(seat.team), "in_menu": in_menu}


def _places(seat: Membership) -> list[dict[str, object]]:
    """Return where the reader may switch to; read once for a whole page."""
    kept = vars(seat)
    if "places_of_reader" not in kept:
        places = kept["places_of_reader"] = []
        for each in members.seats_of(seat.user):
            with addressing(each.team, seat.user):
                url = reverse("dashboard")
            places.append(
                {"name": str(each.team), "url": url, "is_present": each.team_id == seat.team_id}
            )
    found: list[dict[str, object]] = kept["places_of_reader"]
    return found


def _teams_of_reader(seat: Membership) -> dict[int, bool]:
    """Return the reader's teams, and whether others are in each; read once for a whole page."""
    kept = vars(seat)
    if "teams_of_reader" not in kept:
        others = Membership.objects.filter(team=OuterRef("team")).exclude(user=seat.user_id)
        mine = Membership.objects.filter(user=seat.user_id, team__closed_at=None)
        kept["teams_of_reader"] = dict(mine.values_list("team_id", Exists(others)))
    found: dict[int, bool] = kept["teams_of_reader"]
    return found
