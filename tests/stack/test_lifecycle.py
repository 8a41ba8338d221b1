"""Processes that die and come back, and what an operator does from a shell meanwhile."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import orjson
import pytest

from bench.machine import Neighbours, stretch, take_moment
from bench.traffic import Ending, Load, run
from devstack.errors import LaunchError
from devstack.stack import Stack
from tests.stack.shop import Customer, Shop, Upstream, say
from tests.waiting import await_true

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

# The model speaks this fast, so a stream can be watched and cut.
SLOWLY = "Say 400 words. [[tps=20]]"
# On a machine of its own; what others take of it is not counted.
BACK_WITHIN_S = 10.0
GIVEN_UP_AFTER_S = 100.0


@pytest.fixture
def alice(shop: Shop) -> Customer:
    """Alice can pay for whatever a test does."""
    return shop.open_account(credits=1_000_000)


@pytest.fixture(scope="module", autouse=True)
def plain(shop: Shop) -> str:
    """A model that costs one credit per token."""
    shop.sell(routes={"plain": ["gpt-4o"]})
    return "plain"


class Listener:
    """A client in a thread of its own that reads an answer to its end, whatever that is."""

    def __init__(self, customer: Customer, url: str, text: str, *, is_stream: bool = True) -> None:
        self.pieces = 0
        self.has_end_marker = False
        self.error: httpx.HTTPError | None = None
        body = {"model": "plain", "messages": say(text), "stream": is_stream, "max_tokens": 500}
        self._thread = Thread(target=self._listen, args=(customer, url, body))
        self._thread.start()

    def await_pieces(self, count: int) -> None:
        """Wait until so much text has arrived."""
        await_true(lambda: self.pieces >= count, what=f"{count} pieces of a stream")

    def await_end(self) -> None:
        """Wait until the answer has ended or broken."""
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _listen(self, customer: Customer, url: str, body: dict[str, Any]) -> None:
        with httpx.Client(headers=customer.headers, timeout=30, trust_env=False) as client:
            try:
                with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
                    for line in response.iter_lines():
                        self._take(line)
            except httpx.HTTPError as error:
                self.error = error

    def _take(self, line: str) -> None:
        if line == "data: [DONE]":
            self.has_end_marker = True
        elif line.startswith("data: "):
            [choice] = orjson.loads(line[6:])["choices"]
            self.pieces += bool(choice["delta"].get("content"))


def journals_of(stack: Stack, pid: int) -> list[Path]:
    return list(Path(stack.env["JOURNAL_DIR"]).glob(f"*-{pid}-*.journal"))


@contextlib.contextmanager
def without_valkey(stack: Stack, *, loses_data: bool = False) -> Iterator[None]:
    """Kill Valkey as a crash would, and start it again afterwards."""
    valkey = stack.valkey
    assert valkey is not None
    valkey.kill()
    if loses_data:
        shutil.rmtree(valkey.data)
    try:
        yield
    finally:
        valkey.start()


def completions(shop: Shop, customer: Customer, count: int) -> int:
    """Have so many answers of 10 words from both web processes; return what they cost."""
    answers = [
        shop.chat(customer, web=number % 2, model="plain", messages=say("Say 10 words."))
        for number in range(count)
    ]
    assert [answer.status_code for answer in answers] == [200] * count
    return sum(int(answer.headers["x-tokenproxy-credits-charged"]) for answer in answers)


def serves(shop: Shop, customer: Customer) -> bool:
    """Tell whether both web processes answer, and refuse properly if they don't."""
    answers = [shop.chat(customer, web=web, model="plain", max_tokens=1) for web in (0, 1)]
    for answer in answers:
        assert answer.status_code in {200, 503}, answer.text
    return [answer.status_code for answer in answers] == [200, 200]


# From a shell.


def test_the_shell_makes_a_customer_who_can_call(stack: Stack, shop: Shop) -> None:
    email = "shell@example.com"

    secret = stack.manage("issue_key", email, "--name", "ops").splitlines()[-1]
    said = stack.manage("grant_credits", email, "500", "--reason", "a goodwill gesture")

    assert "Granted 500 credits to shell@example.com; posted balance 500." in said
    customer = Customer(email=email, secret=secret, wallet_id=0, key_id=0)
    cost = completions(shop, customer, 1)
    assert shop.settled(customer) == 500 - cost
    assert "Every invariant holds" in stack.manage("audit_money")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["issue_key", "nobody"], "'nobody' is not an e-mail address"),
        (["grant_credits", "nobody@example.com", "-5", "--reason", "x"], "between 1 and"),
    ],
)
def test_the_shell_refuses_what_makes_no_sense(
    stack: Stack, shop: Shop, command: list[str], complaint: str
) -> None:
    with pytest.raises(LaunchError, match=complaint) as caught:
        stack.manage(*command)

    assert "Traceback" not in str(caught.value)
    assert shop.ledger("nobody@example.com") == []


def test_a_rebuild_keeps_balances_and_a_stream_in_flight(
    stack: Stack, shop: Shop, alice: Customer
) -> None:
    spent = completions(shop, alice, 4)
    stream = Listener(alice, shop.stack.web_urls[1], "Say 60 words. [[tps=20]]")
    stream.await_pieces(5)

    # A worker may be faster, once the command has closed the fences.
    assert "rebuil" in stack.manage("rebuild_wallet").lower()

    stream.await_end()
    assert (stream.pieces, stream.has_end_marker) == (60, True)
    left = shop.settled(alice)
    *_, receipt = shop.receipts(alice)
    assert (receipt.outcome, receipt.completion_tokens) == ("completed", 60)
    assert left == 1_000_000 - spent - receipt.charged_credits


# Processes that die.


def test_a_killed_web_process_leaves_no_hold_and_receipts_of_what_it_delivered(
    stack: Stack, shop: Shop, upstream: Upstream, alice: Customer
) -> None:
    web, pid, before = stack.web[1], stack.web[1].pid, upstream.last_number()
    stream = Listener(alice, stack.web_urls[1], SLOWLY)
    whole = Listener(alice, stack.web_urls[1], SLOWLY, is_stream=False)
    # Leases are renewed, and progress is noted, every 2 seconds; this takes 3.5.
    stream.await_pieces(70)

    web.kill()
    try:
        stream.await_end()
        whole.await_end()
        shop.await_rest()
    finally:
        web.start()
        stack.await_ready()

    assert isinstance(stream.error, httpx.RemoteProtocolError)
    assert isinstance(whole.error, httpx.RemoteProtocolError)
    of_whole, of_stream = sorted(shop.receipts(alice), key=lambda receipt: receipt.is_stream)
    served = {row["is_stream"]: row for row in upstream.served(after=before)}
    assert (of_whole.outcome, of_stream.outcome) == ("abandoned", "abandoned")
    # Nothing of an answer in one piece was delivered; of the stream, what was noted last.
    assert of_whole.charged_credits == served[False]["prompt_tokens"]
    assert 25 < of_stream.completion_tokens <= stream.pieces
    assert of_stream.completion_tokens <= served[True]["completion_tokens_delivered"]
    assert of_stream.charged_credits == served[True]["prompt_tokens"] + of_stream.completion_tokens
    assert {row["outcome"] for row in served.values()} == {"cut_by_client"}
    assert shop.balance(alice)["available"] == 1_000_000 - sum(
        receipt.charged_credits for receipt in (of_whole, of_stream)
    )
    # A later sweep removes the journal, once everything in it is booked.
    await_true(lambda: not journals_of(stack, pid), what="the journal to be done with")
    assert shop.audit() == []


def test_a_killed_worker_delays_the_books_and_falsifies_nothing(
    stack: Stack, shop: Shop, alice: Customer
) -> None:
    urls, keys = stack.web_urls, [alice.secret]
    load = Load(urls=urls, keys=keys, requests=300, concurrency=8, seed=7, models=["plain"])

    stack.worker.kill()
    try:
        sent = asyncio.run(run(load))
        booked_without = len(shop.receipts(alice))
    finally:
        stack.worker.start()
    # Once more, in the middle of its work.
    await_true(lambda: bool(shop.receipts(alice)), what="the worker to begin")
    stack.worker.kill()
    stack.worker.start()

    assert {each.ending for each in sent} == {Ending.SERVED}
    assert booked_without == 0
    left = shop.settled(alice)
    receipts = shop.receipts(alice)
    assert len(receipts) == 300
    assert left == 1_000_000 - sum(receipt.charged_credits for receipt in receipts)
    assert shop.audit() == []


@pytest.mark.parametrize("loses_data", [False, True], ids=["keeps its data", "loses its data"])
def test_the_api_refuses_without_valkey_and_is_back_soon_with_nothing_lost(
    stack: Stack, shop: Shop, alice: Customer, loses_data: bool
) -> None:
    stream = Listener(alice, stack.web_urls[0], "Say 80 words. [[tps=40]]")
    spent = completions(shop, alice, 6)
    stream.await_pieces(10)

    with without_valkey(stack, loses_data=loses_data):
        refusals = [shop.chat(alice, web=web, model="plain") for web in (0, 1)]

    assert [refusal.status_code for refusal in refusals] == [503, 503]
    assert {tuple(refusal.json()) for refusal in refusals} == {("error",)}
    neighbours = Neighbours([take_moment()])
    await_true(lambda: serves(shop, alice), what="both web processes", within_s=GIVEN_UP_AFTER_S)
    neighbours.look()
    since, until = (moment.clock_s for moment in neighbours.moments)
    assert until - since <= stretch(BACK_WITHIN_S, neighbours.share(since, until))
    # A stream that was in flight goes on without it, and is charged when it is back.
    stream.await_end()
    assert (stream.pieces, stream.has_end_marker, stream.error) == (80, True, None)
    left = shop.settled(alice)
    receipts = shop.receipts(alice)
    costs = {
        tokens: [r.charged_credits for r in receipts if r.completion_tokens == tokens]
        for tokens in (1, 10, 80)
    }
    assert (len(costs[10]), sum(costs[10])) == (6, spent)
    assert len(costs[80]) == 1
    assert left == 1_000_000 - sum(costs[1]) - sum(costs[10]) - sum(costs[80])
    assert {receipt.outcome for receipt in receipts} == {"completed"}
    assert shop.audit() == []
