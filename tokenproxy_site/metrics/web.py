"""What a web process counts for itself, and the page from which Prometheus reads everything.

`GET /metrics` is for clients with METRICS_TOKEN; 404 if it is unset. There is no label for the
process: the scraper knows which one it asked, and a label would begin new series at each restart.
"""

import hmac
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from common.figures import REGISTRY
from proxy.serving.runtime import Runtime
from tokenproxy_site.metrics.snapshot import SnapshotGauges
from tokenproxy_site.metrics.sweeps import SweepFigures

VERSION: str = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"][
    "version"
]

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


class ProcessGauges(Collector):
    """The present state of this process, as far as its API has begun."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None

    def collect(self) -> Iterator[Metric]:
        """Read the process' memory."""
        yield InfoMetricFamily("tokenproxy_build", "What runs.", {"version": VERSION})
        yield _read_pool()
        if self.runtime is not None:
            yield GaugeMetricFamily(
                "tokenproxy_held_credits",
                "Credits that this process' running calls hold.",
                sum(call.admission.held_credits for call in self.runtime.inflight),
            )
            yield _read_circuits(self.runtime)


def _read_pool() -> Metric:
    # PostgreSQL's wrapper has a pool, the type of all wrappers has none.
    stats: dict[str, int] = cast(Any, connection).pool.get_stats()
    pool = GaugeMetricFamily(
        "tokenproxy_database_pool",
        "Connections to PostgreSQL, by state; and threads that wait for one.",
        labels=["state"],
    )
    pool.add_metric(["most"], stats["pool_max"])
    pool.add_metric(["open"], stats["pool_size"])
    pool.add_metric(["idle"], stats["pool_available"])
    pool.add_metric(["waited_for"], stats["requests_waiting"])
    return pool


def _read_circuits(runtime: Runtime) -> Metric:
    is_open = runtime.upstreams.health.is_open
    circuits = GaugeMetricFamily(
        "tokenproxy_circuit_open",
        "Whether calls of a model pass a provider by, because it fails.",
        labels=["model", "provider"],
    )
    models = runtime.catalogue.models if runtime.catalogue.is_read else {}
    for model in models.values():
        for route in model.routes:
            closed_off = is_open(route.circuit) or is_open(route.upstream.circuit)
            circuits.add_metric([model.name, route.upstream.name], closed_off)
    return circuits


PROCESS = ProcessGauges()
for collector in (PROCESS, SnapshotGauges(), SweepFigures()):
    REGISTRY.register(collector)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format. 404 without METRICS_TOKEN, 401 without its bearer."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
