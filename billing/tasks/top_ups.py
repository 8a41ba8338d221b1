"""The sweep that tops wallets up. The drain only makes it run sooner."""

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from billing.orders.top_up_orders import has_due_top_ups, top_up_due
from billing.tasks.stripe_slots import with_slot

log = structlog.get_logger(__name__)


@shared_task(name="billing.top_up_wallets", ignore_result=True)
@with_slot
def top_up_wallets() -> int:
    """Top up the wallets that fell below their level. Returns how many orders were made."""
    return top_up_due()


def nudge_top_ups() -> None:
    """Have a wallet that just fell below its level topped up at once.

    If the broker is away, the next sweep does it.
    """
    if not has_due_top_ups():
        return
    try:
        top_up_wallets.apply_async(retry=False, expires=5)
    except (OperationalError, OSError) as error:
        log.warning("nudge_failed", error=str(error))
