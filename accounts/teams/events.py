"""The audit trail of a team: what its members did, with before and after."""

from typing import Any

from accounts.models import Invitation, Team, TeamEvent, User

Action = TeamEvent.Action


def note(
    team: Team,
    action: TeamEvent.Action,
    *,
    actor: User | None,
    member: User | None = None,
    invitation: Invitation | None = None,
    subject: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> TeamEvent:
    """Write down a deed, in the transaction that does it.

    A row is never changed, so the texts must name no person: people are named by their rows.
    """
    return TeamEvent.objects.create(
        team=team,
        action=action,
        actor=actor,
        member=member,
        invitation=invitation,
        subject=subject[:120],
        before=before or {},
        after=after or {},
    )
