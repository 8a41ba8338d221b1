"""Looking at margins and at the business."""

from celery import shared_task

from billing.margin.alarms import raise_alarms
from billing.margin.business import measure_business


@shared_task(name="billing.raise_margin_alarms", ignore_result=True)
def raise_margin_alarms() -> int:
    """File margins of yesterday that are below zero, falling or unknown. Returns how many."""
    return raise_alarms()


@shared_task(name="billing.measure_business", ignore_result=True)
def measure() -> None:
    """Measure what the desk's first page shows."""
    measure_business()
