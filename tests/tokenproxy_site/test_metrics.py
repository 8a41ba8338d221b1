"""What an operator's Prometheus gets, and nobody else."""

import asyncio
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from billing.ledger.inbox import file_item
from billing.tasks.wallet import recover_wallets
from tests.billing.wallet.faults import RedisFaults
from tests.conftest import open_fences
from tests.proxy.conftest import until
from tests.till import Till
from tokenproxy_site.application import Application, counted
from tokenproxy_site.metrics import OPEN_STREAMS, REQUESTS

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

    told = scrape(client)

    assert told["tokenproxy_undrained_events"] == 2
    assert told["tokenproxy_oldest_undrained_event_seconds"] < 60
    assert told["tokenproxy_open_holds"] == 1
    assert told["tokenproxy_wallets_to_push"] == 1
    assert told["tokenproxy_open_inbox_items"] == 1
    assert told['tokenproxy_ready{part="wallet"}'] == 1


def test_it_tells_of_a_rebuild_instead_of_figures(
    till: Till, client: Client, faults: RedisFaults
) -> None:
    faults.flush()

    told = scrape(client)

    assert told['tokenproxy_ready{part="wallet"}'] == 0
    assert told['tokenproxy_ready{part="database"}'] == 1
    assert "tokenproxy_undrained_events" not in told


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
        pass

    async def page(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("an API call is no page")

    inbox: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    before = count()

    call = asyncio.create_task(Application(page)(scope, inbox.get, send))
    await until(lambda: count() == before + 1)
    inbox.put_nowait({"type": "http.disconnect"})
    await call

    assert count() == before
