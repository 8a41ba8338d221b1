"""What an operator's Prometheus gets, and nobody else."""

import asyncio
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_seat
from billing.ledger.inbox import file_item
from billing.models import DailyJob, StripeEvent, Webhook, WebhookDelivery
from billing.notices.webhooks.reads import OUTCOMES, STATES
from billing.tasks.wallet import recover_wallets
from tests import desk
from tests.billing.wallet.faults import RedisFaults
from tests.caches import cache_away
from tests.conftest import open_fences
from tests.linked import linked
from tests.proxy.conftest import until
from tests.till import Till
from tokenproxy_site.application import Application, counted
from tokenproxy_site.metrics.snapshot import METRICS, take_snapshot
from tokenproxy_site.metrics.sweeps import SweepTally
from tokenproxy_site.metrics.web import OPEN_STREAMS, REQUESTS

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLE = re.compile(r"^(tokenproxy_\w+(?:\{[^}]*\})?) ([\d.e+]+)$", re.MULTILINE)
BEARER = {"Authorization": "Bearer scrape-me"}


@pytest.fixture(autouse=True)
def token(settings: Any) -> None:
    settings.METRICS_TOKEN = "scrape-me"
    cache.clear()
    recover_wallets()


def scrape(client: Client) -> dict[str, float]:
    response = client.get("/metrics", headers=BEARER)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    return {name: float(value) for name, value in SAMPLE.findall(response.content.decode())}


def test_there_are_no_metrics_without_a_token(till: Till, client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "é"}])
def test_nobody_reads_them_without_the_token(
    till: Till, client: Client, sent: dict[str, str]
) -> None:
    refused = client.get("/metrics", headers=sent)

    assert (refused.status_code, refused.content) == (401, b"")


def test_it_tells_what_is_under_way(till: Till, client: Client) -> None:
    till.grant(1_000)
    till.place("held", 100)
    for name in ("r1", "r2"):
        till.place(name, 10)
        till.settle(name, 10)
    with till.redis_away():
        till.grant(5)
    open_fences(till.client)
    file_item(kind="test", reference="1", summary="Look at this.")
    take_snapshot()

    told = scrape(client)

    assert told["tokenproxy_undrained_events"] == 2
    assert told["tokenproxy_oldest_undrained_event_seconds"] < 60
    assert told["tokenproxy_open_holds"] == 1
    assert told["tokenproxy_wallets_to_push"] == 1
    assert told["tokenproxy_wallets_to_load"] == 1
    assert told['tokenproxy_open_inbox_items{kind="test"}'] == 1
    assert told['tokenproxy_queue_rows{queue="stripe_events"}'] == 0
    assert told['tokenproxy_ready{part="wallet"}'] == 1


def test_it_tells_of_a_rebuild_instead_of_figures(
    till: Till, client: Client, faults: RedisFaults
) -> None:
    faults.flush()
    take_snapshot()

    told = scrape(client)

    assert told['tokenproxy_ready{part="wallet"}'] == 0
    assert told['tokenproxy_ready{part="database"}'] == 1
    assert "tokenproxy_undrained_events" not in told


def test_a_scrape_asks_no_database(till: Till, client: Client) -> None:
    take_snapshot()

    with CaptureQueriesContext(connection) as queries:
        told = scrape(client)

    assert len(queries) == 0
    # Every metric of the snapshot but of jobs, inbox items and providers' balances: none is here.
    missing = [name for name in METRICS if not any(f"tokenproxy_{name}" in had for had in told)]
    assert [each for each in missing if not each.startswith("provider_balance")] == [
        "daily_job_overdue_seconds",
        "open_inbox_items",
    ]


def test_without_a_worker_there_is_no_present_state(till: Till, client: Client) -> None:
    assert not any("tokenproxy_ready" in name for name in scrape(client))


def test_a_queue_tells_how_long_its_rows_wait(till: Till, client: Client) -> None:
    due = timezone.now() - timedelta(minutes=5)
    StripeEvent.objects.create(event_id="evt_1", kind="x", payload={}, next_attempt_at=due)
    StripeEvent.objects.create(event_id="evt_2", kind="x", payload={})
    take_snapshot()

    told = scrape(client)

    assert told['tokenproxy_queue_rows{queue="stripe_events"}'] == 2
    assert 300 <= told['tokenproxy_queue_overdue_seconds{queue="stripe_events"}'] < 360


def test_a_job_of_once_a_day_tells_how_long_it_is_overdue(till: Till, client: Client) -> None:
    due = timezone.now() - timedelta(hours=5)
    DailyJob.objects.create(name="count_beans", due_at=due, next_attempt_at=due)
    take_snapshot()

    told = scrape(client)

    assert 18_000 <= told['tokenproxy_daily_job_overdue_seconds{job="count_beans"}'] < 18_060


def test_webhooks_tell_what_became_of_them(till: Till, client: Client) -> None:
    seat = own_seat(User.objects.create_user("hooked@example.com"))
    due = timezone.now() - timedelta(minutes=5)
    taken, late, failing = (desk.make_delivery(seat) for _ in range(3))
    of_three = WebhookDelivery.objects
    of_three.filter(pk=taken.pk).update(delivered_at=timezone.now(), tried_at=timezone.now())
    of_three.filter(pk=late.pk).update(next_attempt_at=due)
    # Longer due, and its receiver's doing.
    of_three.filter(pk=failing.pk).update(tried_at=due, next_attempt_at=due - timedelta(hours=1))
    Webhook.objects.filter(pk=failing.webhook_id).update(failing_since=due)
    take_snapshot()

    told = scrape(client)

    by_outcome = {
        name: told[f'tokenproxy_webhook_deliveries{{outcome="{name}"}}'] for name in OUTCOMES
    }
    assert by_outcome == {"taken": 1, "given_up": 0, "failing": 1, "waiting": 1}
    by_state = {name: told[f'tokenproxy_webhooks{{state="{name}"}}'] for name in STATES}
    assert by_state == {"working": 2, "failing": 1, "off": 0}
    assert told['tokenproxy_queue_rows{queue="webhooks"}'] == 1
    assert 300 <= told['tokenproxy_queue_overdue_seconds{queue="webhooks"}'] < 360


AUDIT, DRAIN = "billing.audit_money", "billing.drain_events"


def test_the_sweeps_of_several_workers_add_up(client: Client) -> None:
    for worker in (SweepTally(), SweepTally()):
        for number, result in enumerate((3, 4, None)):
            worker.began(f"{number}")
            worker.ended(f"{number}", DRAIN, result, has_failed=False)
        worker.ended("lost", DRAIN, None, has_failed=True)
        worker.write()

    told = scrape(client)

    assert told[f'tokenproxy_sweep_runs_total{{sweep="{DRAIN}"}}'] == 4
    assert told[f'tokenproxy_sweep_items_total{{sweep="{DRAIN}"}}'] == 14
    assert told[f'tokenproxy_sweep_failures_total{{sweep="{DRAIN}"}}'] == 2
    ended_at = told[f'tokenproxy_sweep_last_success_timestamp_seconds{{sweep="{DRAIN}"}}']
    assert time.time() - 60 < ended_at <= time.time()


@pytest.mark.parametrize(
    ("results", "findings", "is_clean"), [([0], 0, True), ([2], 2, False), ([0, None, 1], 1, True)]
)
def test_it_tells_when_an_audit_was_last_clean(
    client: Client, results: list[int | None], findings: int, is_clean: bool
) -> None:
    worker = SweepTally()
    for result in results:
        worker.ended("1", AUDIT, result, has_failed=False)
    worker.write()

    told = scrape(client)

    assert told["tokenproxy_audit_findings"] == findings
    assert ("tokenproxy_audit_last_clean_timestamp_seconds" in told) == is_clean


def test_what_a_worker_counts_waits_for_a_cache_that_is_away(client: Client, settings: Any) -> None:
    worker = SweepTally()
    with cache_away(settings):
        worker.ended("1", DRAIN, 5, has_failed=False)
        worker.write()
        assert scrape(client)['tokenproxy_database_pool{state="waited_for"}'] == 0
    worker.write()
    worker.write()

    assert scrape(client)[f'tokenproxy_sweep_items_total{{sweep="{DRAIN}"}}'] == 5


async def test_it_counts_what_this_process_answered() -> None:
    def count() -> float:
        samples = [s for family in REQUESTS.collect() for s in family.samples]
        totals = (s for s in samples if s.name == "tokenproxy_requests_total")
        return sum(s.value for s in totals if s.labels["status"] == "429")

    before = count()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for kind in ("http.response.start", "http.response.body"):
        await counted(send, is_api=True)({"type": kind, "status": 429})

    assert (count() - before, len(sent)) == (1, 2)


async def test_it_counts_api_calls_while_they_are_under_way() -> None:
    def count() -> float:
        [family] = OPEN_STREAMS.collect()
        return family.samples[0].value

    async def send(message: Any) -> None:
        await has_read.wait()

    async def page(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("an API call is no page")

    # The client takes its answer when it likes.
    has_read = asyncio.Event()
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    before = count()

    call = asyncio.create_task(linked(Application(page))(scope, inbox.get, send))
    await until(lambda: count() == before + 1)
    has_read.set()
    await call

    assert count() == before
