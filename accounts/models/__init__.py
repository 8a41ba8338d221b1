"""People, the teams that they are members of, and API keys, and legal texts."""

from accounts.models.api_key import ApiKey
from accounts.models.audit import AuditLine, PersonKey
from accounts.models.company import Company
from accounts.models.legal import Agreement, LegalText
from accounts.models.team import Invitation, Membership, Role, Team
from accounts.models.team_event import TeamEvent
from accounts.models.user import User, UserManager

__all__ = [
    "Agreement",
    "ApiKey",
    "AuditLine",
    "Company",
    "Invitation",
    "LegalText",
    "Membership",
    "PersonKey",
    "Role",
    "Team",
    "TeamEvent",
    "User",
    "UserManager",
]
