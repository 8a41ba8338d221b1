"""End the log-ins of a team's members."""

from allauth.usersessions.models import UserSession

from billing.models import Wallet


def end_sessions_of(wallet: Wallet) -> int:
    """Log every browser of the members out, and return how many there were."""
    sessions = UserSession.objects.filter(user__memberships__team=wallet.team_id).distinct()
    for session in (found := list(sessions)):
        session.end()
    return len(found)
