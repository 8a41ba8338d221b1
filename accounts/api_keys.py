"""Look-ups of API keys. Only `billing.keys.api_keys` changes a key."""

from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.models import ApiKey, Membership, Team
from accounts.teams.roles import Deed, may


def keys_with_digest(digest: str) -> QuerySet[ApiKey]:
    """Return the key with this digest, or one that was rotated from it; in force or not."""
    return ApiKey.objects.filter(Q(digest=digest) | Q(previous_digest=digest))


def is_in_force(key: ApiKey) -> bool:
    """Tell whether a key's team is open, and its maker may log in or has left it to the team."""
    return key.team.closed_at is None and (key.created_by.is_active or key.is_left_to_team)


def usable_keys(team: Team, *, at: datetime) -> QuerySet[ApiKey]:
    """Return a team's keys that work at this instant."""
    is_alive = Q(expires_at=None) | Q(expires_at__gt=at)
    return ApiKey.objects.filter(is_alive, team=team, revoked_at=None)


def keys_of(seat: Membership) -> QuerySet[ApiKey]:
    """Return the keys that a member may see and change: their own, or everybody's."""
    keys = ApiKey.objects.filter(team=seat.team).select_related("team__person", "created_by")
    return keys if may(seat, Deed.MANAGE_ALL_KEYS) else keys.filter(created_by=seat.user)
