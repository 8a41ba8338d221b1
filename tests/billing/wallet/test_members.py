"""What a member may spend with all of their keys, guard by guard; how they come to be counted."""

from dataclasses import replace

import pytest

from billing.exceptions import CapReached, MemberUncounted, WalletMissing, WalletStale
from billing.ledger.loads import find_epochs
from billing.ledger.member_spending import count_member
from billing.wallet import keys
from billing.wallet.commands import figures, loading, placing
from billing.wallet.commands.command import parse_ok
from billing.wallet.commands.restoring import BookedWallet
from billing.wallet.limits import Caps, KeyFigures, Limits
from tests.conftest import open_fences
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)

MARCH, APRIL = 1_772_323_200_000, 1_775_001_600_000
OF_LIFE = limits(member=Caps(lifetime_credits=100))
OF_MONTH = limits(member=Caps(monthly_credits=100))
each_cap = pytest.mark.parametrize("bounds", [OF_LIFE, OF_MONTH], ids=["lifetime", "monthly"])


@pytest.fixture
def rich(till: Till) -> Till:
    till.grant(1_000_000)
    return till


@pytest.fixture
def other(rich: Till) -> Till:
    """Another key that the same member made."""
    return rich.with_another_key()


@pytest.fixture
def counted(rich: Till, other: Till) -> Till:
    count(rich)
    return rich


def count(till: Till) -> None:
    count_member(till.wallet.pk, till.user.pk)


def dump(till: Till) -> dict[bytes, bytes]:
    redis = till.client.redis
    return {name: redis.dump(name) for name in sorted(redis.keys("*"))}


def capped(till: Till, name: str, amount: int, bounds: Limits) -> tuple[bool, bool, int, int]:
    """Be refused, which must change nothing, and return why."""
    before = dump(till)
    with pytest.raises(CapReached) as refused:
        till.place(name, amount, bounds=bounds)
    assert dump(till) == before
    error = refused.value
    return error.is_members, error.is_monthly, error.cap_credits, error.left_credits


def of_member(till: Till, month: int | None = None) -> KeyFigures:
    return till.inquire(month=month, count=0).member


def place_in(till: Till, at_ms: int, name: str, amount: int, bounds: Limits) -> None:
    hold = till.hold_request(name, amount, bounds=bounds)
    hold = replace(hold, facts=replace(hold.facts, started_at_ms=at_ms))
    placing.parse_place(till.client.ask(placing.place(hold, lease_ms=60_000, limit=NO_LIMIT)))


@each_cap
def test_a_cap_counts_what_all_keys_of_the_member_hold_and_were_charged(
    counted: Till, other: Till, bounds: Limits
) -> None:
    is_monthly = bounds is OF_MONTH
    counted.place("r1", 70, bounds=bounds)
    while_held = capped(other, "r2", 31, bounds)

    counted.settle("r1", 40)

    assert while_held == (True, is_monthly, 100, 30)
    assert capped(other, "r3", 61, bounds) == (True, is_monthly, 100, 60)
    assert other.place("r4", 60, bounds=bounds).held_credits == 60
    assert capped(counted, "r5", 1, bounds) == (True, is_monthly, 100, 0)


@each_cap
def test_an_answer_may_be_clamped_to_a_members_cap(
    counted: Till, other: Till, bounds: Limits
) -> None:
    counted.place("r1", 30, bounds=bounds)

    assert other.place("r2", 4_096, least=1, bounds=bounds).units == 70


@each_cap
def test_nothing_is_left_of_a_members_cap_that_was_lowered(
    counted: Till, other: Till, bounds: Limits
) -> None:
    counted.place("r1", 120)
    counted.settle("r1", 120)

    assert capped(other, "r2", 1, bounds) == (True, bounds is OF_MONTH, 100, 0)
    assert other.place("r3", 0, bounds=bounds).held_credits == 0


def test_a_keys_cap_is_said_before_its_members(counted: Till) -> None:
    bounds = replace(OF_LIFE, lifetime_cap_credits=50)

    assert capped(counted, "r1", 101, bounds) == (False, False, 50, 50)


def test_what_a_member_did_not_use_is_given_back(counted: Till, other: Till) -> None:
    counted.place("r1", 60, bounds=OF_LIFE)
    other.place("r2", 40, bounds=OF_LIFE)

    counted.void("r1")
    other.reap("r2", is_dead=True)

    assert of_member(counted) == KeyFigures(0, 0, 0, 0, 0)
    assert counted.place("r3", 100, bounds=OF_LIFE).held_credits == 100


def test_a_raised_settlement_spends_the_difference_of_a_member(counted: Till) -> None:
    counted.place("r1", 100)

    for target in (30, 30, 50, 40):
        counted.settle("r1", target)

    assert of_member(counted) == KeyFigures(0, 0, 50, 0, 50)


def test_a_member_has_a_new_cap_each_month_but_one_lifetime(counted: Till, other: Till) -> None:
    place_in(counted, MARCH, "r1", 100, OF_MONTH)

    place_in(other, APRIL, "r2", 60, OF_MONTH)
    counted.settle("r1", 25)

    # What began in March is March's, whenever it ends.
    assert of_member(counted, 202_603) == KeyFigures(1, 60, 25, 0, 25)
    assert of_member(counted, 202_604) == KeyFigures(1, 60, 25, 60, 0)
    with pytest.raises(CapReached):
        place_in(other, APRIL, "r3", 16, OF_LIFE)


def test_two_members_of_a_wallet_have_a_cap_each(counted: Till, other: Till) -> None:
    other.member_id = 10**6
    counted.place("r1", 100, bounds=OF_LIFE)
    other.client.ask(
        figures.count_member(
            other.wallet.pk,
            other.member_id,
            known_version=99,
            api_key_ids=[other.key.pk],
            elsewhere={},
        )
    )

    assert other.place("r2", 100, bounds=OF_LIFE).held_credits == 100
    assert capped(counted, "r3", 1, OF_LIFE) == (True, False, 100, 0)
    assert of_member(counted) == of_member(other) == KeyFigures(1, 100, 0, 100, 0)


def test_a_member_of_two_wallets_has_a_cap_in_each(rich: Till) -> None:
    another = rich.wallet.pk + keys.SHARDS
    epoch = find_epochs([rich.shard])[rich.shard]
    books = [BookedWallet(another, 9, 9, 0, "active", 1)]
    loading.parse_load(rich.client.ask(loading.load(rich.shard, books, {}, epoch=epoch)))
    parse_ok(
        rich.client.ask(
            figures.count_member(
                another, rich.member, known_version=99, api_key_ids=[], elsewhere={202_603: 100}
            )
        )
    )
    count(rich)
    rich.place("r1", 70, bounds=OF_LIFE)

    assert of_member(rich) == KeyFigures(1, 70, 0, 70, 0)
    assert capped(rich, "r2", 31, OF_LIFE) == (True, False, 100, 30)


# --- Counting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [OF_LIFE, OF_MONTH, limits(member=Caps(0, 0))])
def test_no_cap_is_decided_before_its_member_is_counted(rich: Till, bounds: Limits) -> None:
    before = dump(rich)
    with pytest.raises(MemberUncounted):
        rich.place("r1", 0, bounds=bounds)
    with pytest.raises(MemberUncounted):
        rich.inquire(bounds=bounds)

    assert dump(rich) == before


def test_counting_begins_with_what_all_keys_spent_and_hold(rich: Till, other: Till) -> None:
    place_in(rich, MARCH, "r1", 50, limits())
    rich.settle("r1", 20)
    place_in(other, APRIL, "r2", 40, limits())
    rich.place("r3", 7)

    count(rich)

    assert of_member(rich, 202_603) == KeyFigures(2, 47, 20, 0, 20)
    assert of_member(rich, 202_604) == KeyFigures(2, 47, 20, 40, 0)


def test_what_began_before_the_count_ends_in_it(rich: Till, other: Till) -> None:
    for name, till in (("r1", rich), ("r2", other), ("r3", other)):
        till.place(name, 50)
    count(rich)

    rich.settle("r1", 20)
    other.void("r2")

    assert of_member(rich) == KeyFigures(1, 50, 20, 50, 20)


def test_counting_again_changes_nothing(counted: Till) -> None:
    counted.place("r1", 50)
    before = dump(counted)

    count(counted)
    # As if the keys were not theirs any more.
    wallet_id, member_id = counted.wallet.pk, counted.member
    again = figures.count_member(
        wallet_id, member_id, known_version=99, api_key_ids=[], elsewhere={202_603: 5}
    )
    counted.client.ask(again)

    assert dump(counted) == before


def test_a_count_knows_what_was_spent_by_keys_that_are_theirs_no_more(rich: Till) -> None:
    rich.place("r1", 30)
    elsewhere = {202_603: 5, rich.facts("any").month: 9}

    rich.client.ask(
        figures.count_member(
            rich.wallet.pk,
            rich.user.pk,
            known_version=99,
            api_key_ids=[rich.key.pk],
            elsewhere=elsewhere,
        )
    )

    assert of_member(rich) == KeyFigures(1, 30, 14, 30, 9)
    assert of_member(rich, 202_603).month_spent_credits == 5


def test_who_has_no_cap_goes_on_being_counted(counted: Till, other: Till) -> None:
    counted.place("r1", 70)
    other.place("r2", 20)
    counted.settle("r1", 70)

    assert of_member(counted) == KeyFigures(1, 20, 70, 20, 70)


def test_a_wallet_without_members_who_have_caps_counts_nobody(rich: Till) -> None:
    rich.place("r1", 70)
    rich.settle("r1", 70)

    assert rich.client.redis.keys("*member*") == []
    assert of_member(rich) == KeyFigures(0, 0, 0, 0, 0)


def test_who_is_counted_has_nobody_else_counted(counted: Till, other: Till) -> None:
    other.member_id = 10**6
    other.place("r1", 70)

    with pytest.raises(MemberUncounted):
        other.place("r2", 1, bounds=OF_LIFE)
    other.settle("r1", 30)

    assert of_member(other) == of_member(counted) == KeyFigures(0, 0, 0, 0, 0)


def test_requests_that_are_nobodys_count_for_no_member(counted: Till) -> None:
    counted.member_id = 0
    counted.place("r1", 70)
    counted.settle("r1", 70)

    assert counted.figures().spent_credits == 70
    counted.member_id = None
    assert of_member(counted) == KeyFigures(0, 0, 0, 0, 0)


def test_a_member_of_another_epoch_is_not_counted(counted: Till) -> None:
    counted.place("r1", 100, bounds=OF_LIFE)
    open_fences(counted.client)

    with pytest.raises(MemberUncounted):
        counted.place("r2", 1, bounds=OF_LIFE)
    count(counted)

    assert of_member(counted) == KeyFigures(0, 0, 0, 0, 0)
    assert counted.place("r3", 100, bounds=OF_LIFE).held_credits == 100


def test_a_counted_member_of_another_epoch_spent_nothing_in_any_month(counted: Till) -> None:
    place_in(counted, MARCH, "r1", 50, limits())
    counted.settle("r1", 50)
    open_fences(counted.client)

    count(counted)

    assert of_member(counted, 202_603) == KeyFigures(0, 0, 0, 0, 0)


def test_who_knows_an_older_version_of_a_wallet_counts_nobody(rich: Till) -> None:
    rich.wallet.refresh_from_db()
    before = dump(rich)
    older = figures.count_member(
        rich.wallet.pk,
        rich.member,
        known_version=rich.wallet.version - 1,
        api_key_ids=[],
        elsewhere={},
    )

    with pytest.raises(WalletStale):
        parse_ok(rich.client.ask(older))

    assert dump(rich) == before
    count(rich)


def test_a_wallet_that_redis_does_not_know_counts_nobody(till: Till) -> None:
    till.client.redis.delete(keys.wallet(till.wallet.pk))

    with pytest.raises(WalletMissing):
        count(till)

    assert till.client.redis.keys("*member*") == []


def test_a_register_of_an_older_release_counts_for_no_member(counted: Till) -> None:
    counted.place("r1", 50)
    before = of_member(counted)
    name = keys.register(counted.shard, "r1")
    facts = counted.client.redis.hget(name, "f").rpartition(b",")[0] + b"]"
    counted.client.redis.hset(name, "f", facts)

    counted.settle("r1", 20)

    assert of_member(counted) == before
    assert counted.figures() == KeyFigures(0, 0, 20, 0, 20)
