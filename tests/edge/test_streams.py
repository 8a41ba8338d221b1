"""Streams through an edge: as they come, and over when their client has left."""

import itertools
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.edge.servers import NAME, Edge
from tests.edge.wire import connect
from tests.stack.shop import Customer, Shop, say

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

# Ten words a second for two seconds.
SLOWLY = "Say 20 words. [[tps=10]]"
# What a client sends that means to keep a connection, and never to finish.
UNFINISHED = f"GET /v1/models HTTP/1.1\r\nHost: {NAME}\r\nX-A: ".encode()
# With a greeting each costs both sides a signature; most of an attack would do without.
GREETED, SILENT = 200, 800


def chat(client: httpx.Client, edge: Edge, customer: Customer, words: str) -> httpx.Request:
    body = {"model": "gpt-4o", "messages": say(words), "stream": True}
    return client.build_request(
        "POST", f"{edge.url}/v1/chat/completions", json=body, headers=customer.headers
    )


def test_events_arrive_as_they_are_made(edge: Edge, client: httpx.Client, alice: Customer) -> None:
    arrivals = []
    response = client.send(chat(client, edge, alice, SLOWLY), stream=True)
    for data in response.iter_raw():
        arrivals.extend([time.monotonic()] * data.count(b"data: "))
    response.close()

    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert len(arrivals) >= 20
    # What is held back comes at once, with the end.
    assert arrivals[-1] - arrivals[0] > 1.0
    assert sum(gap > 0.03 for gap in gaps) >= 10
    print(f"{edge.name}: {len(arrivals)} events, gaps up to {max(gaps) * 1_000:.0f} ms")


def test_a_client_that_leaves_is_charged_for_what_it_got(
    edge: Edge, client: httpx.Client, alice: Customer, shop: Shop
) -> None:
    response = client.send(chat(client, edge, alice, "Say 400 words. [[tps=20]]"), stream=True)
    for _ in zip(response.iter_raw(), range(5), strict=False):
        pass
    response.close()
    left_at = time.monotonic()
    shop.await_rest()

    # The whole answer would have taken 20 s.
    assert time.monotonic() - left_at < 15
    [receipt] = shop.receipts(alice)
    assert receipt.completion_tokens < 300


def test_slow_clients_do_not_keep_a_good_one_waiting(edge: Edge, client: httpx.Client) -> None:
    def timed(good: httpx.Client) -> float:
        started = time.monotonic()
        assert good.get(f"{edge.url}/healthz").status_code == 200
        return time.monotonic() - started

    alone = min(timed(client) for _ in range(3))
    with ExitStack() as slow:
        greeted = [slow.enter_context(connect(edge)) for _ in range(GREETED)]
        for connection in greeted:
            connection.sendall(UNFINISHED)
        for _ in range(SILENT):
            slow.enter_context(connect(edge, is_greeted=False))
        with httpx.Client(verify=False, headers={"Host": NAME}, trust_env=False) as fresh:  # noqa: S501
            crowded = min(timed(fresh) for _ in range(3))
        began = time.monotonic()
        greeted[0].settimeout(40)
        while greeted[0].recv(4_096):
            pass
        waited = time.monotonic() - began

    print(f"{edge.name}: {alone * 1_000:.0f} ms alone, {crowded * 1_000:.0f} ms beside 1,000")
    assert crowded < max(1.0, 10 * alone)
    # Its header was given 10 s.
    assert waited < 30
