"""What customers are mailed about their automatic top-up."""

from billing.models import AutoTopUp, Notice
from billing.notices.notify import notify


def notify_top_up_off(top_up: AutoTopUp, *, reason: str) -> None:
    """Say that automatic top-up was switched off, and why: `terms`, `returned`, `uncredited`,
    `fault` or `staff`.
    """
    notify(
        top_up.wallet.user,
        Notice.Kind.TOP_UP_OFF,
        reference=f"{top_up.public_id}:{top_up.consent_id}:{reason}",
        reason=reason,
    )
