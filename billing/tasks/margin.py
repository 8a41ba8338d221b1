"""Looking at margins and at the business."""

from datetime import date, time, timedelta

from celery import shared_task

from billing.margin.alarms import raise_alarms
from billing.margin.business import measure_business
from billing.upkeep.daily import daily


# Once the last receipts of the day before are booked and rolled up.
@shared_task(name="billing.raise_margin_alarms", ignore_result=True)
@daily(at=time(1, 20))
def raise_margin_alarms(first: date) -> int:
    """File margins of whole days that are below zero, falling or unknown. Returns how many."""
    return raise_alarms(first - timedelta(days=1))


@shared_task(name="billing.measure_business", ignore_result=True)
def measure() -> None:
    """Measure what the desk's first page shows."""
    measure_business()
