"""Metrics for Prometheus, at `GET /metrics` for clients with METRICS_TOKEN; 404 if it is unset.

Gauges are read from Redis and PostgreSQL at each scrape, so every web process reports the same
ones; a scraper of several processes takes the maximum. Requests, and calls under way, are counted
by each process for itself, without a label for it: the scraper knows which process it asked, and a
label would begin new series at each restart.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from billing.exceptions import WalletRecovering
from billing.ledger.inbox import count_open_items
from billing.ledger.pushes import due_wallets
from billing.upkeep.readiness import read_wallet_load
from tokenproxy_site.health import PARTS, find_problems

REGISTRY = CollectorRegistry()

REQUESTS = Counter(
    "tokenproxy_requests",
    "Requests that this process answered.",
    ["surface", "status"],
    registry=REGISTRY,
)

# Autoscaling uses this gauge.
OPEN_STREAMS = Gauge(
    "tokenproxy_open_streams",
    "Answers to API calls, streams and others, that this process is working on.",
    registry=REGISTRY,
)


@contextmanager
def open_call() -> Iterator[None]:
    """Count an API call as under way while the block runs."""
    OPEN_STREAMS.inc()
    try:
        yield
    finally:
        OPEN_STREAMS.dec()


def count_request(*, is_api: bool, status: int) -> None:
    """Count one answer of this process."""
    REQUESTS.labels("api" if is_api else "site", str(status)).inc()


class Gauges(Collector):
    """The present state of the money. What can't be read is left out, and its part is not ready."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read everything."""
        yield from _read_parts()
        yield from _read_wallets()
        yield from _read_books()


def _read_parts() -> Iterator[GaugeMetricFamily]:
    ready = GaugeMetricFamily(
        "tokenproxy_ready", "Whether a part of the product can serve.", labels=["part"]
    )
    problems = find_problems()
    for part in PARTS:
        ready.add_metric([part], part not in problems)
    yield ready


def _read_wallets() -> Iterator[GaugeMetricFamily]:
    try:
        load = read_wallet_load()
    except WalletRecovering:
        return
    yield GaugeMetricFamily(
        "tokenproxy_undrained_events", "Charges that wait to be booked.", load.events
    )
    yield GaugeMetricFamily(
        "tokenproxy_oldest_undrained_event_seconds",
        "How long the drain has left the oldest of them.",
        load.oldest_event_ms / 1_000,
    )
    yield GaugeMetricFamily("tokenproxy_open_holds", "Requests that hold credits.", load.holds)


def _read_books() -> Iterator[GaugeMetricFamily]:
    try:
        due, items = due_wallets().count(), count_open_items()
    except DatabaseError:
        return
    yield GaugeMetricFamily(
        "tokenproxy_wallets_to_push", "Wallets of which Redis has not learnt everything.", due
    )
    yield GaugeMetricFamily(
        "tokenproxy_open_inbox_items", "Findings that wait for a person.", items
    )


REGISTRY.register(Gauges())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format. 404 without METRICS_TOKEN, 401 without its bearer."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
