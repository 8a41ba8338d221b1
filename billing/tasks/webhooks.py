"""The sweep that posts to customers' webhooks. Pages only make it run sooner."""

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from billing.notices.webhooks.posting import post_due_deliveries

log = structlog.get_logger(__name__)


@shared_task(name="billing.post_webhooks", ignore_result=True)
def post_webhooks() -> int:
    """Post the deliveries that are due. Returns how many were tried."""
    return post_due_deliveries()


def nudge_webhooks() -> None:
    """Have a delivery posted at once. If the broker is away, the next sweep does it."""
    try:
        post_webhooks.apply_async(retry=False, expires=5)
    except (OperationalError, OSError) as error:
        log.warning("nudge_failed", error=str(error))
