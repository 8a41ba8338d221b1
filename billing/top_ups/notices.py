"""What customers are mailed about their automatic top-up."""

from accounts.teams.roles import Deed
from billing.models import AutoTopUp, Notice
from billing.notices.notify import notify_members


def notify_top_up_off(top_up: AutoTopUp, *, reason: str) -> None:
    """Say that automatic top-up was switched off, and why: `terms`, `returned`, `uncredited`,
    `fault` or `staff`.
    """
    notify_members(
        top_up.wallet.team,
        Deed.GET_MONEY_MAIL,
        Notice.Kind.TOP_UP_OFF,
        reference=f"{top_up.public_id}:{top_up.consent_id}:{reason}",
        reason=reason,
    )
