"""What a key spent: kept by PostgreSQL, put back into Redis by a rebuild, compared by the audit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from billing.audit.books import audit
from billing.exceptions import CapReached
from billing.models import KeySpending, UsageRecord
from billing.upkeep.reaper import reap
from billing.upkeep.recovery import recover
from billing.wallet import keys, library
from billing.wallet.commands import placing
from billing.wallet.journal import Journal
from billing.wallet.limits import KeyFigures
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)

MARCH, APRIL = 1_772_323_200_000, 1_775_001_600_000


@pytest.fixture
def journal(till: Till, journal_dir: Path) -> Iterator[Journal]:
    journal = Journal.open(settings.JOURNAL_DIR)
    yield journal
    journal.close()


def restart(till: Till) -> None:
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", library.read_source())


def flush(till: Till) -> None:
    till.client.redis.flushdb()


LOSSES: dict[str, Callable[[Till], None]] = {"restart": restart, "flush": flush}
each_loss = pytest.mark.parametrize("loss", LOSSES)


def spending(till: Till) -> dict[int, int]:
    rows = KeySpending.objects.filter(api_key=till.key)
    return dict(rows.values_list("month", "charged_credits"))


def serve_in(till: Till, at_ms: int, name: str, *targets: int) -> None:
    """Serve a request that began at an instant, settled at one target after another."""
    hold = till.hold_request(name, 100)
    hold = replace(hold, facts=replace(hold.facts, started_at_ms=at_ms))
    till.client.ask(placing.place(hold, lease_ms=60_000, limit=NO_LIMIT))
    for target in targets:
        till.settle(name, target)


def test_the_drain_sums_up_what_a_key_spent_by_month(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    serve_in(till, MARCH, "r2", 5, 30)
    till.drain()
    serve_in(till, MARCH, "r3", 7)
    serve_in(till, APRIL, "r4", 11)
    till.settle("r2", 35)
    till.drain()
    till.drain()

    assert spending(till) == {202_603: 40 + 35 + 7, 202_604: 11}
    assert till.figures(202_603).month_spent_credits == 82
    assert till.figures(202_604).spent_credits == 93
    assert audit() == []


def test_what_begins_at_the_last_millisecond_of_a_month_belongs_to_it(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, APRIL - 1, "r1", 40)
    serve_in(till, APRIL, "r2", 1)
    till.drain()

    assert spending(till) == {202_603: 40, 202_604: 1}
    assert audit() == []


def test_a_drain_that_is_not_acknowledged_counts_once(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    events = till.client.redis.xrange(keys.events(till.shard))
    till.drain()
    for _, fields in events:
        till.client.redis.xadd(keys.events(till.shard), fields)

    till.drain()

    assert spending(till) == {202_603: 40}


@each_loss
def test_a_rebuild_keeps_a_keys_caps_exact(till: Till, journal: Journal, loss: str) -> None:
    till.grant(1_000)
    till.start("booked", 100, journal=journal)
    till.finish("booked", 40, journal=journal)
    till.drain()
    till.start("settled", 100, journal=journal)
    till.finish("settled", 30, journal=journal)
    till.start("open", 50, journal=journal)
    before = till.figures()

    LOSSES[loss](till)
    recover(grace_s=0)
    reap()

    bounds = limits({"concurrent_requests": 2}, lifetime=130, monthly=130)
    assert till.figures() == before == KeyFigures(1, 50, 70, 50, 70)
    assert audit() == []
    with pytest.raises(CapReached) as refusal:
        till.place("dear", 11, bounds=bounds)
    assert refusal.value.left_credits == 10
    assert till.place("cheap", 10, bounds=bounds).held_credits == 10


@each_loss
def test_a_rebuild_keeps_what_was_raised_and_half_booked(
    till: Till, journal: Journal, loss: str
) -> None:
    till.grant(1_000)
    till.start("r1", 100, journal=journal)
    till.settle("r1", 30)
    till.drain()
    till.finish("r1", 45, journal=journal)

    LOSSES[loss](till)
    recover(grace_s=0)
    reap()
    till.drain()

    assert till.figures().spent_credits == 45
    assert spending(till) == {calls_month(till): 45}
    assert audit(at_rest=True) == []


def calls_month(till: Till) -> int:
    return till.facts("any").month


def test_a_rebuild_forgets_what_a_hold_of_the_past_held(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    till.place("nobodys", 100)

    restart(till)
    recover(grace_s=0)

    assert till.figures() == KeyFigures(0, 0, 0, 0, 0)
    assert till.place("r1", 1, bounds=limits({"concurrent_requests": 1})).held_credits == 1
    assert audit() == []


def test_a_rebuild_knows_the_months_apart(till: Till, journal: Journal) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    till.drain()
    serve_in(till, MARCH, "r2", 3)
    serve_in(till, APRIL, "r3", 20)
    before = till.figures(202_603), till.figures(202_604)

    restart(till)
    recover(grace_s=0)

    assert (till.figures(202_603), till.figures(202_604)) == before
    assert before == (KeyFigures(0, 0, 63, 0, 43), KeyFigures(0, 0, 63, 0, 20))


def test_the_audit_finds_a_sum_that_is_not_that_of_the_receipts(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    till.drain()
    KeySpending.objects.update(charged_credits=41)

    found = {(finding.invariant, finding.subject) for finding in audit()}

    assert (8, f"API key {till.key.pk} in 202603") in found
    assert UsageRecord.objects.get().charged_credits == 40


@pytest.mark.parametrize("field", ["open", "held", "spent"])
def test_the_audit_finds_a_key_that_redis_counts_wrong(till: Till, field: str) -> None:
    till.grant(1_000)
    till.place("r1", 10)
    till.client.redis.hincrby(keys.api_key(till.wallet.pk, till.key.pk), field, 1)

    assert [finding.invariant for finding in audit(pause_s=0)] == [8]


def test_the_audit_finds_a_wallet_that_miscounts_its_open_requests(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 10)
    till.client.redis.hincrby(keys.wallet(till.wallet.pk), "open", 1)

    assert [finding.invariant for finding in audit(pause_s=0)] == [4]
