"""The site's own sweep."""

from celery import shared_task

from tokenproxy_site.metrics.snapshot import take_snapshot


@shared_task(name="tokenproxy_site.take_snapshot", ignore_result=True)
def measure() -> int:
    """Measure what scrapers of `/metrics` see. Returns how many values there are."""
    return take_snapshot()
