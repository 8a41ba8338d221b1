"""The site's own sweeps."""

from celery import shared_task

from proxy.upstreams.service import count_service
from tokenproxy_site.metrics.snapshot import take_snapshot


@shared_task(name="tokenproxy_site.take_snapshot", ignore_result=True)
def measure() -> int:
    """Measure what scrapers of `/metrics` see. Returns how many values there are."""
    return take_snapshot()


@shared_task(name="tokenproxy_site.count_service", ignore_result=True)
def count() -> int:
    """Add to each model's day for how long it was served. Returns how many rows changed."""
    return count_service()
