"""The present state of the money, of what waits and of what is ready, measured by a sweep.

Measuring asks PostgreSQL and Redis; showing asks the cache. A snapshot that is not renewed within
KEPT_S is gone, and its instant tells how old one is.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from django.core.cache import cache
from django.db import DatabaseError
from django.db.models import Count, Min, QuerySet
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from billing.exceptions import WalletRecovering
from billing.ledger.pushes import due_wallets
from billing.models import InboxItem
from billing.notices.outbox import NOTICES
from billing.notices.webhooks.reads import count_outcomes, count_states, kept_waiting
from billing.orders.refunds import REFUNDS
from billing.stripe_inbox.events import EVENTS
from billing.stripe_inbox.open_orders import ORDERS
from billing.upkeep.daily import read_overdue
from billing.upkeep.loading import count_rest
from billing.upkeep.readiness import read_wallet_load
from common.due import DueRows
from proxy.models import ProviderAccount
from tokenproxy_site.health import PARTS, find_problems

NAME = "figures:snapshot"
KEPT_S = 120

# What a queue's rows wait for, by its name in the metrics.
SWEPT: dict[str, DueRows[Any]] = {
    "stripe_events": EVENTS,
    "open_orders": ORDERS,
    "refunds": REFUNDS,
    "mails": NOTICES,
}
# The rows of each queue, and when they are due.
QUEUES: dict[str, tuple[QuerySet[Any], str]] = {
    **{name: (queue.open_rows, queue.due_column) for name, queue in SWEPT.items()},
    "webhooks": (kept_waiting(), "next_attempt_at"),
}

# A measurement: values by their labels' values, for each metric by its name.
Values = dict[tuple[str, ...], float]
Measured = dict[str, Values]

METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "measured_timestamp_seconds": ("When a worker measured this.", ()),
    "ready": ("Whether a part of the product can serve.", ("part",)),
    "undrained_events": ("Charges that wait to be booked.", ()),
    "oldest_undrained_event_seconds": ("How long the drain has left the oldest of them.", ()),
    "open_holds": ("Calls that hold credits.", ()),
    "closed_shards": ("Shards that serve nothing, by the Redis that keeps them.", ("node",)),
    "wallets_to_load": ("Wallets that a loss of Redis left to be loaded.", ()),
    "wallets_to_push": ("Wallets of which Redis has not learnt everything.", ()),
    "queue_rows": ("Rows that are not done.", ("queue",)),
    "queue_overdue_seconds": ("For how long the row longest due has been due.", ("queue",)),
    "daily_job_overdue_seconds": ("For how long a job of once a day is due.", ("job",)),
    "webhooks": ("Customers' webhooks.", ("state",)),
    "webhook_deliveries": ("What became of two days' deliveries to them.", ("outcome",)),
    "open_inbox_items": ("Findings that wait for a person.", ("kind",)),
    "provider_balance": ("What a provider said last is left.", ("provider", "currency")),
    "provider_balance_days": ("For how long it lasts at the present cost.", ("provider",)),
    "provider_balance_age_seconds": ("For how long it has not said so again.", ("provider",)),
    "provider_balance_low": ("Whether less is left than staff want.", ("provider",)),
}


def take_snapshot() -> int:
    """Measure everything, and keep it for the scrapers. Returns how many values there are.

    What can't be read is left out, and its part is not ready.
    """
    measured: Measured = {"measured_timestamp_seconds": {(): time.time()}}
    for measure, away in MEASURES:
        try:
            measured |= measure()
        except away:
            continue
    cache.set(NAME, measured, timeout=KEPT_S)
    return sum(map(len, measured.values()))


def _measure_parts() -> Measured:
    problems = find_problems()
    return {"ready": {(part,): part not in problems for part in PARTS}}


def _measure_wallets() -> Measured:
    load = read_wallet_load()
    return {
        "undrained_events": {(): load.events},
        "oldest_undrained_event_seconds": {(): load.oldest_event_ms / 1_000},
        "open_holds": {(): load.holds},
        "closed_shards": {(node,): count for node, count in load.closed_shards.items()},
    }


def _measure_loading() -> Measured:
    return {"wallets_to_load": {(): count_rest()}}


def _measure_books() -> Measured:
    now = timezone.now()
    rows: Values = {}
    overdue: Values = {}
    for name, (open_rows, due_column) in QUEUES.items():
        found = open_rows.aggregate(n=Count("*"), oldest=Min(due_column))
        rows[name,] = found["n"]
        overdue[name,] = max((now - (found["oldest"] or now)).total_seconds(), 0)
    open_items = InboxItem.objects.filter(resolved_at=None).order_by("kind")
    kinds = open_items.values_list("kind").annotate(n=Count("*"))
    return {
        "wallets_to_push": {(): due_wallets().count()},
        "queue_rows": rows,
        "queue_overdue_seconds": overdue,
        "open_inbox_items": {(kind,): count for kind, count in kinds},
    }


def _measure_daily_jobs() -> Measured:
    overdue = read_overdue()
    return {"daily_job_overdue_seconds": {(name,): since for name, since in overdue.items()}}


def _measure_webhooks() -> Measured:
    return {
        "webhooks": {(state,): count for state, count in count_states().items()},
        "webhook_deliveries": {(outcome,): count for outcome, count in count_outcomes().items()},
    }


def _measure_accounts() -> Measured:
    now = timezone.now()
    known = ProviderAccount.objects.filter(balance__isnull=False, provider__is_active=True)
    accounts = {each.provider.name: each for each in known.select_related("provider")}
    return {
        "provider_balance": {
            (name, each.currency): float(each.balance or 0) for name, each in accounts.items()
        },
        "provider_balance_days": {
            (name,): float(each.days_left)
            for name, each in accounts.items()
            if each.days_left is not None
        },
        "provider_balance_age_seconds": {
            (name,): (now - (each.balance_at or now)).total_seconds()
            for name, each in accounts.items()
        },
        "provider_balance_low": {(name,): each.is_low for name, each in accounts.items()},
    }


Away = type[Exception] | tuple[type[Exception], ...]
MEASURES: tuple[tuple[Callable[[], Measured], Away], ...] = (
    (_measure_parts, DatabaseError),
    (_measure_wallets, WalletRecovering),
    (_measure_loading, (WalletRecovering, DatabaseError)),
    (_measure_books, DatabaseError),
    (_measure_daily_jobs, DatabaseError),
    (_measure_webhooks, DatabaseError),
    (_measure_accounts, DatabaseError),
)


class SnapshotGauges(Collector):
    """The last snapshot."""

    def collect(self) -> Iterator[Metric]:
        """Read the cache once. Without it, or without a worker, there are no figures."""
        try:
            measured: Measured = cache.get(NAME, {})
        except redis.RedisError:
            return
        for name, values in measured.items():
            words, labels = METRICS[name]
            gauge = GaugeMetricFamily(f"tokenproxy_{name}", words, labels=labels)
            for label_values, value in values.items():
                gauge.add_metric(label_values, value)
            yield gauge
