"""People, the teams that they are members of, and API keys."""

from accounts.models.api_key import ApiKey
from accounts.models.audit import AuditLine, PersonKey
from accounts.models.team import Invitation, Membership, Role, Team
from accounts.models.team_event import TeamEvent
from accounts.models.user import User, UserManager

__all__ = [
    "ApiKey",
    "AuditLine",
    "Invitation",
    "Membership",
    "PersonKey",
    "Role",
    "Team",
    "TeamEvent",
    "User",
    "UserManager",
]
