"""The site's own sweeps."""

from datetime import date, time

from celery import shared_task

from billing.upkeep.daily import daily
from proxy.upstreams.providers.balances import sweep_balances
from proxy.upstreams.providers.probing import probe_idle_models
from proxy.upstreams.providers.usage_sweep import sweep_usage
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


@shared_task(name="tokenproxy_site.probe_models", ignore_result=True)
def probe() -> int:
    """Ask idle models of providers that have probes. Returns how many routes were asked."""
    return probe_idle_models()


@shared_task(name="tokenproxy_site.ask_balances", ignore_result=True, time_limit=1_800)
def ask_balances() -> int:
    """Ask providers what is left of our accounts. Returns how many told."""
    return sweep_balances()


# Providers have the whole of the day before by then.
@shared_task(name="tokenproxy_site.fetch_usage", ignore_result=True, time_limit=3_600)
@daily(at=time(5, 40))
def fetch_usage(_first: date) -> int:
    """Compare providers' own reports of a week with our receipts. Returns how many days differ."""
    return sweep_usage()
