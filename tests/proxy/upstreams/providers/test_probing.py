"""Our own requests for models that nobody asks: what they tell, and what they may cost."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from billing.models import LedgerEntry, PublicModel, UsageRecord
from billing.wallet.sync_client import SyncWalletClient
from proxy.admin.probes import say_probes
from proxy.models import Probe, Provider, Route, ServiceDay
from proxy.upstreams import shared
from proxy.upstreams.providers.probing import probe_idle_models
from proxy.upstreams.providers.usage_reports import Used, compare_days
from proxy.upstreams.service import count_service
from proxy.upstreams.shared import CircuitLimits
from tests.proxy.conftest import Sandbox, sell
from tests.racing import race
from tests.speeds import add_speed

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def no_cache(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def route(settings: Any, db: None, redis_wallets: SyncWalletClient, upstream: Sandbox) -> Route:
    """gpt-4 at the sandbox, which is probed once an hour. A prompt token costs us 1 millionth."""
    settings.ALLOW_LOOPBACK_PROVIDERS = True
    sell(upstream, "gpt-4")
    Provider.objects.update(probes_per_hour=1)
    Route.objects.update(prompt_cost_micros=1_000_000, completion_cost_micros=2_000_000)
    return Route.objects.get()


def stand_in(route: Route, *, probes_per_hour: int = 1, upstream_model: str = "gpt-4") -> Route:
    """Give the model a second route, at another provider of the sandbox."""
    sell_at = Provider.objects.create(
        name="second", base_url=route.provider.base_url, probes_per_hour=probes_per_hour
    )
    key = route.provider.keys.get()
    key.pk, key.provider = None, sell_at
    key.save()
    return Route.objects.create(model=route.model, provider=sell_at, upstream_model=upstream_model)


def count_later() -> tuple[int, int]:
    """Count the present bucket once it is finished: seconds served, and failing."""
    with time_machine.travel(timezone.now() + timedelta(seconds=15), tick=False):
        count_service()
    rows = ServiceDay.objects.filter(model_name="gpt-4")
    return sum(row.served_s for row in rows), sum(row.failing_s for row in rows)


def use(model_name: str, *, ago: timedelta) -> None:
    """Customers asked for a model some time ago."""
    at = timezone.now() - ago
    quarter = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    add_speed(1, model_name=model_name, provider_name="sandbox", starts_at=quarter)


def test_an_idle_model_is_asked_and_no_customer_pays(route: Route) -> None:
    assert probe_idle_models() == 1

    probe = Probe.objects.get()
    assert (probe.outcome, probe.route_id, probe.provider_name) == ("served", route.pk, "sandbox")
    assert probe.completion_tokens == 16
    assert probe.cost_nanos == 1_000 * probe.prompt_tokens + 2_000 * 16
    assert probe.latency_ms is not None
    assert count_later() == (10, 0)
    assert not UsageRecord.objects.exists()
    assert not LedgerEntry.objects.exists()


def test_it_is_not_asked_again_within_its_period(route: Route) -> None:
    counts = [probe_idle_models(), probe_idle_models()]
    with time_machine.travel(timezone.now() + 59 * MINUTE, tick=False):
        counts.append(probe_idle_models())
    with time_machine.travel(timezone.now() + 61 * MINUTE, tick=False):
        counts.append(probe_idle_models())

    assert counts == [1, 0, 0, 1]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_ask_once(route: Route) -> None:
    race([probe_idle_models] * 2)

    assert Probe.objects.count() == 1


def test_nobody_is_asked_unless_staff_want_it(route: Route) -> None:
    Provider.objects.update(probes_per_hour=0)

    assert probe_idle_models() == 0


@pytest.mark.parametrize(("minutes", "count"), [(1, 0), (59, 0), (76, 1)])
def test_a_model_that_customers_ask_for_is_not_probed(
    minutes: int, count: int, route: Route
) -> None:
    use("gpt-4", ago=timedelta(minutes=minutes))

    assert probe_idle_models() == count


@pytest.mark.parametrize("off", ["route", "provider", "model", "paused"])
def test_what_serves_nobody_is_not_probed(off: str, route: Route) -> None:
    match off:
        case "route":
            Route.objects.update(is_active=False)
        case "provider":
            Provider.objects.update(is_active=False)
        case "model":
            PublicModel.objects.update(is_active=False)
        case "paused":
            Provider.objects.update(paused_at=timezone.now(), pause_reason="x")

    assert probe_idle_models() == 0


def test_a_model_whose_probe_fails_is_down_on_the_status_page(route: Route) -> None:
    route.upstream_model = "fault-500"
    route.save()

    probe_idle_models()

    probe = Probe.objects.get()
    assert (probe.outcome, probe.problem) == ("failed", "500 server_error")
    assert count_later() == (0, 10)
    page = Client().get("/status/").content.decode()
    assert "0.00% up" in page


def test_a_model_with_one_route_that_works_is_up(route: Route) -> None:
    stand_in(route, upstream_model="fault-500")

    assert probe_idle_models() == 2

    assert count_later() == (10, 0)


def test_a_model_with_a_route_that_was_not_asked_is_not_told_as_down(route: Route) -> None:
    stand_in(route, probes_per_hour=0)
    Route.objects.filter(pk=route.pk).update(upstream_model="fault-500")

    assert probe_idle_models() == 1

    assert Probe.objects.get().outcome == "failed"
    assert count_later() == (0, 0)


def test_a_limit_of_ours_says_nothing_of_the_model(route: Route) -> None:
    Route.objects.update(upstream_model="fault-429")

    probe_idle_models()

    probe = Probe.objects.get()
    assert (probe.outcome, probe.cost_nanos) == ("refused", 0)
    assert count_later() == (0, 0)


def test_a_probe_that_works_closes_the_circuit(
    route: Route, redis_wallets: SyncWalletClient
) -> None:
    limits = CircuitLimits(row=1)
    seen = [f"p{route.provider_id}", 0, 1, 1, False, 0, "x", "row"]
    redis_wallets.redis.execute_command(*shared.parts(limits, "report", seen))

    probe_idle_models()

    reply = redis_wallets.redis.execute_command(*shared.parts(limits, "read"))
    assert shared.parse(reply.encode() if isinstance(reply, str) else reply).circuits == {}


def test_it_is_written_though_redis_is_away(route: Route, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    probe_idle_models()

    assert Probe.objects.get().outcome == "served"


def test_a_latency_of_probes_is_shown_as_such(route: Route) -> None:
    probe_idle_models()
    Probe.objects.update(latency_ms=1_234)
    count_later()

    status = Client().get("/status/").content.decode()
    model = Client().get("/models/gpt-4/").content.decode()

    for page in (status, model):
        assert "1.23 s" in page
        assert "by our own test requests" in page
    assert "small test requests of our own" in status


def test_the_desk_says_what_a_day_costs_at_most_and_what_probes_cost(route: Route) -> None:
    probe_idle_models()
    Probe.objects.update(cost_nanos=500_000)

    said = say_probes(route.provider)

    # 24 times 100 prompt tokens for a millionth each, and 16 others for two.
    assert "At most 0.0032 USD a day." in said
    assert "1 probes, 0 failed, 0.0005 USD" in said


def test_a_provider_report_counts_probes_as_ours(route: Route) -> None:
    probe_idle_models()
    probe = Probe.objects.get()
    day = probe.began_at.date()

    [line] = compare_days(route.provider, [(day, "gpt-4", Used(99, 99, None))], {day})

    assert (line.ours.prompt_tokens, line.ours.completion_tokens) == (probe.prompt_tokens, 16)


def test_old_probes_go(route: Route) -> None:
    Probe.objects.create(
        provider_name="gone", model_name="x", began_at=timezone.now() - timedelta(days=91)
    )

    probe_idle_models()

    assert not Probe.objects.filter(provider_name="gone").exists()
