"""What a member spent: kept by PostgreSQL, counted by Redis on demand, compared by the audit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import ApiKey, User
from billing.audit.books import audit
from billing.exceptions import CapReached, MemberUncounted
from billing.keys.api_keys import leave_keys_to_team
from billing.ledger.member_spending import count_member
from billing.models import MemberSpending, UsageRecord
from billing.upkeep.reaper import reap
from billing.upkeep.recovery import recover
from billing.wallet import keys, library
from billing.wallet.commands import ending, placing
from billing.wallet.journal import Journal
from billing.wallet.limits import Caps, KeyFigures
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)

MARCH, APRIL = 1_772_323_200_000, 1_775_001_600_000
CAPPED = limits(member=Caps(130, 130))


@pytest.fixture
def other(till: Till) -> Till:
    """Another key that the same member made."""
    return till.with_another_key()


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
    rows = MemberSpending.objects.filter(wallet=till.wallet, member=till.member)
    return dict(rows.values_list("month", "charged_credits"))


def count(till: Till) -> KeyFigures:
    count_member(till.wallet.pk, till.member)
    return till.inquire(count=0).member


def serve_in(till: Till, at_ms: int, name: str, *targets: int) -> None:
    """Serve a request that began at an instant, settled at one target after another."""
    hold = till.hold_request(name, 100)
    hold = replace(hold, facts=replace(hold.facts, started_at_ms=at_ms))
    till.client.ask(placing.place(hold, lease_ms=60_000, limit=NO_LIMIT))
    for target in targets:
        till.settle(name, target)


def test_the_drain_sums_up_what_a_member_spent_with_all_keys_by_month(
    till: Till, other: Till
) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    serve_in(other, MARCH, "r2", 5, 30)
    till.drain()
    serve_in(other, MARCH, "r3", 7)
    serve_in(till, APRIL, "r4", 11)
    other.settle("r2", 35)
    till.drain()
    till.drain()

    assert spending(till) == {202_603: 40 + 35 + 7, 202_604: 11}
    assert till.receipt("r2").member == till.user
    assert audit() == []


def test_a_drain_that_is_not_acknowledged_counts_a_member_once(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    events = till.client.redis.xrange(keys.events(till.shard))
    till.drain()
    for _, fields in events:
        till.client.redis.xadd(keys.events(till.shard), fields)

    till.drain()

    assert spending(till) == {202_603: 40}


def test_each_member_of_a_wallet_is_booked_apart(till: Till, other: Till, bob: User) -> None:
    till.grant(1_000)
    other.member_id = bob.pk
    serve_in(till, MARCH, "r1", 40)
    serve_in(other, MARCH, "r2", 7)
    till.drain()

    assert (spending(till), spending(other)) == ({202_603: 40}, {202_603: 7})
    assert till.receipt("r2").member == bob
    assert audit() == []


def test_a_key_that_is_nobodys_spends_for_no_member(till: Till) -> None:
    till.grant(1_000)
    till.member_id = 0
    serve_in(till, MARCH, "r1", 40)
    till.drain()

    assert till.receipt("r1").member is None
    assert not MemberSpending.objects.exists()
    assert audit() == []


def test_a_request_of_an_older_release_counts_for_who_made_its_key(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    name = keys.events(till.shard)
    ((event_id, fields),) = till.client.redis.xrange(name)
    old = fields[b"facts"].replace(b",%d]" % till.user.pk, b"]")
    assert old != fields[b"facts"]
    till.client.redis.xadd(name, {**fields, b"facts": old})
    till.client.redis.xdel(name, event_id)

    till.drain()

    assert till.receipt("r1").member == till.user
    assert spending(till) == {202_603: 40}


@each_loss
def test_a_rebuild_keeps_a_members_caps_exact(
    till: Till, other: Till, journal: Journal, loss: str
) -> None:
    till.grant(1_000)
    till.start("booked", 100, journal=journal)
    till.finish("booked", 40, journal=journal)
    till.drain()
    before_count = count(till)
    other.start("settled", 100, journal=journal)
    other.finish("settled", 30, journal=journal)
    other.start("open", 50, journal=journal)
    before = till.inquire(count=0).member

    LOSSES[loss](till)
    recover(grace_s=0)
    reap()

    with pytest.raises(MemberUncounted):
        till.place("early", 1, bounds=CAPPED)
    assert before_count == KeyFigures(0, 0, 40, 0, 40)
    assert count(till) == before == KeyFigures(1, 50, 70, 50, 70)
    assert audit() == []
    with pytest.raises(CapReached) as refusal:
        till.place("dear", 11, bounds=CAPPED)
    assert refusal.value.left_credits == 10
    assert till.place("cheap", 10, bounds=CAPPED).held_credits == 10


@each_loss
def test_a_hold_that_a_rebuild_put_back_ends_for_its_member(
    till: Till, journal: Journal, loss: str
) -> None:
    till.grant(1_000)
    till.start("r1", 50, journal=journal)
    LOSSES[loss](till)
    recover(grace_s=0)
    assert count(till) == KeyFigures(1, 50, 0, 50, 0)

    till.finish("r1", 20, journal=journal)

    assert till.inquire(count=0).member == KeyFigures(0, 0, 20, 0, 20)
    till.drain()
    assert audit(at_rest=True) == []


def test_a_settlement_that_redis_forgot_is_its_members_too(till: Till) -> None:
    till.grant(1_000)
    count(till)
    facts, end = till.facts("lost"), till.settlement(30)
    till.client.ask(ending.settle_late(facts, end, held=50, charged=0, target=0))

    assert till.inquire(count=0).member == KeyFigures(0, 0, 30, 0, 30)
    till.drain()
    assert spending(till) == {facts.month: 30}
    assert audit(at_rest=True) == []


def test_what_keys_spent_that_are_theirs_no_more_still_counts(till: Till, other: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    serve_in(other, MARCH, "r2", 7)
    till.drain()
    # The key is the team's now; what it spent stays spent by who made it.
    leave_keys_to_team(ApiKey.objects.filter(pk=other.key.pk))

    assert count(till) == KeyFigures(0, 0, 47, 0, 0)
    assert till.inquire(month=202_603, count=0).member.month_spent_credits == 47


def test_the_audit_finds_a_members_sum_that_is_not_that_of_the_receipts(till: Till) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    till.drain()
    MemberSpending.objects.update(charged_credits=41)

    found = {(finding.invariant, finding.subject) for finding in audit()}

    assert found == {(8, f"member {till.user.pk} of wallet {till.wallet.pk} in 202603")}


@pytest.mark.parametrize("column", ["wallet", "member", "month", "charged_credits"])
def test_the_audit_finds_a_difference_in_every_column(till: Till, bob: User, column: str) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    till.drain()
    wrong = {
        "wallet": Till(bob).wallet,
        "member": bob,
        "month": 202_604,
        "charged_credits": 39,
    }
    MemberSpending.objects.update(**{column: wrong[column]})

    assert {finding.invariant for finding in audit()} == {8}
    assert UsageRecord.objects.get().charged_credits == 40


@pytest.mark.parametrize("field", ["open", "held", "spent"])
def test_the_audit_finds_a_member_that_redis_counts_wrong(till: Till, field: str) -> None:
    till.grant(1_000)
    serve_in(till, MARCH, "r1", 40)
    till.drain()
    count(till)
    assert audit() == []
    till.client.redis.hincrby(keys.member(till.wallet.pk, till.user.pk), field, 1)

    found = audit(pause_s=0)

    subject = f"member {till.user.pk} of wallet {till.wallet.pk}"
    assert [(finding.invariant, finding.subject) for finding in found] == [(8, subject)]
