"""The audit's look at Redis: exact for a wallet that never rests."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from billing.audit.books import audit
from billing.ledger import pushes
from billing.models import KeySpending, Wallet
from billing.wallet import keys
from tests.billing.wallet.faults import full_redis
from tests.redis_wire import before_commands
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)

AUDITS = 10


@dataclass
class Rush:
    """Threads that call, book and credit on one wallet as fast as they can."""

    till: Till
    served: int = 0
    drained: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    threads: list[Future[None]] = field(default_factory=list)

    def start(self, pool: ThreadPoolExecutor) -> None:
        acts = (self._call, self._drain, self._credit)
        self.threads = [pool.submit(self._repeat, act) for act in acts]

    def wait_for(self, served: int) -> None:
        """Wait until so many more requests were served and some of them booked."""
        drained, goal = self.drained, self.served + served
        while self.served < goal or self.drained == drained:
            assert not any(thread.done() for thread in self.threads)
            self.is_over.wait(0.001)

    def end(self) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.result()

    def _repeat(self, act: Callable[[int], None]) -> None:
        try:
            for number in count():
                if self.is_over.is_set():
                    return
                act(number)
        finally:
            connections.close_all()

    def _call(self, number: int) -> None:
        self.till.place(f"rush-{number}", 10)
        self.till.settle(f"rush-{number}", 4)
        self.served += 1

    def _drain(self, _: int) -> None:
        self.drained += self.till.drain()

    def _credit(self, _: int) -> None:
        self.till.grant(3)
        self.is_over.wait(0.02)


@pytest.fixture
def rush(till: Till) -> Iterator[Rush]:
    """A wallet that is never at rest, with one hold that stays open."""
    till.grant(1_000_000)
    till.place("open", 100)
    rush = Rush(till)
    with ThreadPoolExecutor(3) as pool:
        try:
            rush.start(pool)
            rush.wait_for(20)
            yield rush
        finally:
            rush.end()


def test_it_finds_nothing_in_a_wallet_that_never_rests(rush: Rush) -> None:
    before = rush.served

    findings = [finding for _ in range(AUDITS) for finding in audit(pause_s=0)]

    assert findings == []
    assert rush.served > before


def test_nobody_books_while_a_suspect_is_looked_at(till: Till) -> None:
    till.grant(1_000)
    charged: list[str] = []
    was_kept: list[bool] = []

    def charge() -> None:
        name = f"r{len(was_kept)}"
        till.place(name, 10)
        till.settle(name, 4)
        charged.append(name)

    def try_to_book(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        # Redis has been looked at by now, and what is booked of its events is asked for.
        if charged and "billing_usagerecord" in sql:
            charged.clear()
            was_kept.append(not in_a_thread(lambda: can_drain(till)))
        return execute(sql, *rest)

    with (
        before_commands(keys.wallet(till.wallet.pk), charge),
        connection.execute_wrapper(try_to_book),
    ):
        findings = audit()

    assert findings == []
    # Only who differed at first is locked.
    assert was_kept == [False, True]


def can_drain(till: Till) -> bool:
    """Drain, unless the wallet is locked."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '20ms'")
        try:
            till.drain()
        except OperationalError:
            return False
        finally:
            # The session goes back to a pool.
            cursor.execute("RESET lock_timeout")
    return True


@pytest.mark.parametrize("figure", ["base", "pend", "held", "open"])
def test_it_finds_a_wrong_figure_of_a_wallet_that_never_rests(rush: Rush, figure: str) -> None:
    rush.till.client.redis.hincrby(keys.wallet(rush.till.wallet.pk), figure, 1)

    findings = audit()

    assert [(each.invariant, each.subject) for each in findings] == [
        (4, f"wallet {rush.till.wallet.pk}")
    ]
    assert findings[0].problem.startswith(f"{figure} is ")


@pytest.mark.parametrize("figure", ["open", "held", "spent"])
def test_it_finds_a_wrong_figure_of_a_key_that_never_rests(rush: Rush, figure: str) -> None:
    name = keys.api_key(rush.till.wallet.pk, rush.till.key.pk)
    rush.till.client.redis.hincrby(name, figure, 1)

    findings = audit()

    assert [(each.invariant, each.subject) for each in findings] == [
        (8, f"API key {rush.till.key.pk}")
    ]


@pytest.mark.parametrize("booked", ["nothing", "half", "all"])
def test_it_knows_what_is_booked_and_not_acknowledged(till: Till, booked: str) -> None:
    till.grant(1_000)
    till.place("r1", 100)
    till.settle("r1", 30)
    if booked != "nothing":
        book_without_acknowledging(till)
    till.settle("r1", 70)
    if booked == "all":
        book_without_acknowledging(till)

    assert audit() == []


def book_without_acknowledging(till: Till) -> None:
    """Drain, and put back what Redis then forgot: the acknowledgement was lost."""
    redis = till.client.redis
    names = [keys.wallet(till.wallet.pk), keys.events(till.shard)]
    kept = {name: redis.dump(name) for name in names}
    till.drain()
    for name, dump in kept.items():
        redis.restore(name, 0, dump, replace=True)


def test_a_push_that_is_due_is_no_finding_unless_it_stays_so(till: Till) -> None:
    till.grant(1_000)
    with full_redis():
        till.grant(500)

    stays = audit(pause_s=0)
    pushes.push_due()

    assert [str(each) for each in stays] == [
        f"invariant 4: wallet {till.wallet.pk}: Redis stays at version 2"
    ]
    assert audit() == []


@pytest.mark.parametrize(
    "altered",
    [{"debt_credits": 5}, {"state": Wallet.State.FROZEN}, {"posted_credits": 999}, {"version": 9}],
)
@pytest.mark.usefixtures("unchecked_books")
def test_it_finds_a_wallet_of_which_redis_knows_otherwise(
    till: Till, altered: dict[str, object]
) -> None:
    till.grant(1_000)
    Wallet.objects.update(**altered, pushed_version=altered.get("version", 2))

    assert (4, f"wallet {till.wallet.pk}") in {(each.invariant, each.subject) for each in audit()}


def test_it_finds_a_key_whose_spending_was_altered_while_it_is_busy(rush: Rush) -> None:
    rush.till.drain()
    KeySpending.objects.create(api_key=rush.till.key, month=202_001, charged_credits=5)

    assert 8 in {finding.invariant for finding in audit()}


def test_it_finds_a_lease_of_no_open_hold(till: Till) -> None:
    till.grant(1_000)
    till.client.redis.zadd(keys.leases(till.shard), {"nobody": 1})

    assert [str(each) for each in audit(pause_s=0)] == [
        "invariant 4: leases: 1 are of no open hold"
    ]
