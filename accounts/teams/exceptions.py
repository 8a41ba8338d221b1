"""What teams refuse, and why. The texts are for whoever asked.

TeamError
├── NotAllowed            the member's role may not do this
├── NotAMember            the person is not in the team, or no longer
├── LastOwner             the team would be left without an owner
├── TeamClosed            the team is closed
├── TeamRefused           the team can't be made, renamed, closed or left like that
└── InvitationRefused     it is used, withdrawn, too old, for another address, or one too many
"""

from common.exceptions import DomainError


class TeamError(DomainError):
    """Something that a team refuses."""


class NotAllowed(TeamError):
    """The member's role may not do this."""


class NotAMember(TeamError):
    """The person is not in the team, or no longer."""


class LastOwner(TeamError):
    """The team would be left without an owner."""


class TeamClosed(TeamError):
    """The team is closed."""


class TeamRefused(TeamError):
    """The team can't be made, renamed, closed or left like that."""


class InvitationRefused(TeamError):
    """It is used, withdrawn, too old, for another address, or one too many."""
