"""The sweep that writes exports. Starting one only makes it run sooner."""

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from billing.exports.writing import write_exports

log = structlog.get_logger(__name__)
HOUR_S = 3_600


@shared_task(name="billing.write_exports", ignore_result=True, time_limit=HOUR_S)
def write_waiting_exports() -> int:
    """Write the exports that staff asked for. Returns how many parts."""
    return write_exports()


def nudge_exports() -> None:
    """Have a new export written at once. If the broker is away, the next sweep does it."""
    try:
        write_waiting_exports.apply_async(retry=False)
    except (OperationalError, OSError) as error:
        log.warning("nudge_failed", error=str(error))
