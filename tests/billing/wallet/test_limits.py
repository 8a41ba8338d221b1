"""What a key and its wallet may do, guard by guard, and what an ending gives back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from billing.exceptions import (
    CapReached,
    Limited,
    RateLimited,
    RequestTooLarge,
    WalletError,
    WalletFrozen,
    WalletInDebt,
    WalletStale,
)
from billing.upkeep.reaper import reap
from billing.wallet import keys
from billing.wallet.arguments import Place
from billing.wallet.commands import ending, figures, placing
from billing.wallet.limits import KeyFigures, Limits
from tests.conftest import open_fences
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)

# Tokens per minute of which none comes back while a test runs.
SLOW = 100
MARCH, APRIL = 1_772_323_200_000, 1_775_001_600_000


@pytest.fixture
def rich(till: Till) -> Till:
    till.grant(1_000_000)
    return till


def dump(till: Till) -> dict[bytes, bytes]:
    redis = till.client.redis
    return {name: redis.dump(name) for name in sorted(redis.keys("*"))}


def refusal(till: Till, name: str, amount: int, **options: object) -> WalletError:
    """Be refused, which must change nothing, and return why."""
    before = dump(till)
    with pytest.raises(WalletError) as refused:
        till.place(name, amount, **options)  # type: ignore[arg-type]
    assert dump(till) == before
    return refused.value


def limited(till: Till, name: str, **options: object) -> RateLimited:
    error = refusal(till, name, 10, **options)
    assert isinstance(error, RateLimited)
    return error


def capped(till: Till, name: str, amount: int, bounds: Limits) -> tuple[bool, int, int]:
    error = refusal(till, name, amount, bounds=bounds)
    assert isinstance(error, CapReached)
    return error.is_monthly, error.cap_credits, error.left_credits


# --- Requests at once ---------------------------------------------------------------------------


def reap_now(till: Till) -> None:
    till.client.redis.zadd(keys.leases(till.shard), {"r1": 1})
    reap()


def extend_and_reap(till: Till) -> None:
    till.extend("r1", 4)
    reap_now(till)


ENDINGS: dict[str, Callable[[Till], object]] = {
    "settled": lambda till: till.settle("r1", 3),
    "voided": lambda till: till.void("r1"),
    "reaped": reap_now,
    "reaped with progress": extend_and_reap,
    "abandoned": lambda till: till.reap("r1", is_dead=True),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_another_request_may_start_once_one_has_ended(rich: Till, ending: str, whose: str) -> None:
    bounds = limits(**{whose: {"concurrent_requests": 2}})  # type: ignore[arg-type]
    rich.place("r1", 10, bounds=bounds)
    rich.place("r2", 10, bounds=bounds)
    refused = limited(rich, "r3", bounds=bounds)

    ENDINGS[ending](rich)

    assert (refused.what, refused.limit) == (Limited.CONCURRENT, 2)
    assert refused.is_wallets == (whose == "wallet")
    assert 0 < refused.retry_after_ms <= 1_000
    assert rich.place("r3", 10, bounds=bounds).held_credits == 10
    assert isinstance(refusal(rich, "r4", 10, bounds=bounds), RateLimited)


def test_ending_twice_gives_one_place_back(rich: Till) -> None:
    bounds = limits({"concurrent_requests": 2}, {"concurrent_requests": 2})
    rich.place("r1", 10, bounds=bounds)
    rich.place("r2", 10, bounds=bounds)

    for _ in range(3):
        rich.settle("r1", 5)
    rich.settle("r1", 7)

    rich.place("r3", 10, bounds=bounds)
    assert limited(rich, "r4", bounds=bounds).what is Limited.CONCURRENT
    assert rich.figures() == KeyFigures(2, 20, 7, 20, 7)


def test_placing_again_takes_one_place(rich: Till) -> None:
    bounds = limits({"concurrent_requests": 2, "requests_per_minute": 2})

    for _ in range(3):
        rich.place("r1", 10, bounds=bounds)

    assert rich.figures().open_requests == 1
    assert rich.place("r1", 10, bounds=bounds).rate.requests.remaining == 1
    assert rich.place("r2", 10, bounds=bounds).rate.requests.remaining == 0


def test_a_key_does_not_use_up_what_another_may_do_at_once(rich: Till) -> None:
    bounds = limits({"concurrent_requests": 1})
    other = rich.with_another_key()
    rich.place("r1", 10, bounds=bounds)

    assert other.place("r2", 10, bounds=bounds).held_credits == 10


def test_all_keys_of_a_wallet_share_what_it_may_do_at_once(rich: Till) -> None:
    bounds = limits(wallet={"concurrent_requests": 2})
    other = rich.with_another_key()
    rich.place("r1", 10, bounds=bounds)
    other.place("r2", 10, bounds=bounds)

    assert limited(rich, "r3", bounds=bounds).is_wallets


# --- Requests per minute ------------------------------------------------------------------------


def test_all_keys_of_a_wallet_share_its_requests_per_minute(rich: Till) -> None:
    bounds = limits(wallet={"requests_per_minute": 2})
    other = rich.with_another_key()

    left = [till.place(f"r{n}", 1, bounds=bounds).rate for n, till in enumerate([rich, other])]
    refused = limited(rich, "r3", bounds=bounds)

    assert [(rate.requests.limit, rate.requests.remaining) for rate in left] == [(2, 1), (2, 0)]
    assert (refused.what, refused.is_wallets, refused.limit) == (Limited.REQUESTS, True, 2)
    assert 29_000 < refused.retry_after_ms <= 30_000


# --- Tokens per minute --------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_tokens_beyond_a_minutes_wait_for_the_smooth_refill(rich: Till, whose: str) -> None:
    bounds = limits(**{whose: {"tokens_per_minute": SLOW}})  # type: ignore[arg-type]

    placed = rich.place("r1", 10, tokens=60, bounds=bounds)
    refused = limited(rich, "r2", tokens=50, bounds=bounds)

    assert placed.rate.tokens[:2] == (SLOW, 40)
    assert 35_000 < placed.rate.tokens.reset_ms <= 36_000
    assert (refused.what, refused.limit) == (Limited.TOKENS, SLOW)
    assert refused.is_wallets == (whose == "wallet")
    # The 10 that are missing take a tenth of a minute.
    assert 5_000 < refused.retry_after_ms <= 6_000
    assert refused.rate.tokens.remaining == 40
    assert rich.place("r3", 10, tokens=40, bounds=bounds).rate.tokens.remaining == 0


@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_a_settlement_gives_back_tokens_that_were_not_used(rich: Till, whose: str) -> None:
    bounds = limits(**{whose: {"tokens_per_minute": SLOW}})  # type: ignore[arg-type]
    rich.place("r1", 100, tokens=100, bounds=bounds)

    rich.settle("r1", 30)
    rich.settle("r1", 30)

    assert rich.place("r2", 0, bounds=bounds).rate.tokens.remaining == 70


def test_a_settlement_takes_tokens_that_were_not_expected(rich: Till) -> None:
    bounds = limits({"tokens_per_minute": SLOW}, {"tokens_per_minute": SLOW})
    rich.place("r1", 100, tokens=20, bounds=bounds)

    rich.settle("r1", 50)

    assert rich.place("r2", 0, bounds=bounds).rate.tokens.remaining == 50


def test_a_request_that_nobody_served_used_no_tokens(rich: Till) -> None:
    bounds = limits({"tokens_per_minute": SLOW}, {"tokens_per_minute": SLOW})
    rich.place("r1", 100, tokens=100, bounds=bounds)

    rich.void("r1")

    assert rich.place("r2", 0, bounds=bounds).rate.tokens.remaining == SLOW


def test_a_request_of_more_than_a_minutes_tokens_is_refused_for_good(rich: Till) -> None:
    bounds = limits({"tokens_per_minute": 500}, {"tokens_per_minute": 300})

    refused = refusal(rich, "r1", 10, tokens=301, bounds=bounds)

    assert isinstance(refused, RequestTooLarge)
    assert (refused.tokens, refused.tokens_per_minute) == (301, 300)
    assert rich.place("r2", 10, tokens=300, bounds=bounds).held_credits == 10


def test_an_answer_may_be_clamped_to_a_minutes_tokens(rich: Till) -> None:
    hold = replace(
        rich.hold_request("r1", 4_096, least=1, bounds=limits({"tokens_per_minute": SLOW})),
        fixed_tokens=40,
        unit_tokens=2,
    )

    placed = placing.parse_place(
        rich.client.ask(placing.place(hold, lease_ms=1_000, limit=NO_LIMIT))
    )

    assert (placed.units, placed.held_credits, placed.rate.tokens.remaining) == (30, 30, 0)


def test_the_tighter_of_two_limits_is_told(rich: Till) -> None:
    bounds = limits(
        {"requests_per_minute": 10, "tokens_per_minute": 900},
        {"requests_per_minute": 20, "tokens_per_minute": 800},
    )

    rate = rich.place("r1", 10, tokens=100, bounds=bounds).rate

    assert (rate.requests[:2], rate.tokens[:2]) == ((10, 9), (800, 700))


# --- Caps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_monthly", [False, True])
def test_a_cap_counts_what_was_charged_and_what_is_held(rich: Till, is_monthly: bool) -> None:
    bounds = limits(monthly=100) if is_monthly else limits(lifetime=100)
    rich.place("r1", 70, bounds=bounds)
    while_held = capped(rich, "r2", 31, bounds)

    rich.settle("r1", 40)

    assert while_held == (is_monthly, 100, 30)
    assert capped(rich, "r3", 61, bounds) == (is_monthly, 100, 60)
    assert rich.place("r4", 60, bounds=bounds).held_credits == 60
    assert capped(rich, "r5", 1, bounds) == (is_monthly, 100, 0)


@pytest.mark.parametrize("bounds", [limits(monthly=100), limits(lifetime=100)])
def test_an_answer_may_be_clamped_to_a_cap(rich: Till, bounds: Limits) -> None:
    rich.place("r1", 30, bounds=bounds)

    assert rich.place("r2", 4_096, least=1, bounds=bounds).units == 70


@pytest.mark.parametrize("is_monthly", [False, True])
def test_nothing_is_left_of_a_cap_that_was_lowered(rich: Till, is_monthly: bool) -> None:
    rich.place("r1", 70)
    rich.settle("r1", 70)

    lowered = limits(monthly=50) if is_monthly else limits(lifetime=50)

    assert capped(rich, "r2", 1, lowered) == (is_monthly, 50, 0)
    assert rich.place("r3", 0, bounds=lowered).held_credits == 0


@pytest.mark.parametrize("bounds", [limits(monthly=0), limits(lifetime=0)])
def test_a_cap_of_nothing_lets_nothing_through_but_what_is_free(rich: Till, bounds: Limits) -> None:
    assert capped(rich, "r1", 1, bounds)[1:] == (0, 0)
    assert rich.place("r2", 0, bounds=bounds).held_credits == 0


def test_an_empty_balance_is_said_before_a_cap(till: Till) -> None:
    till.grant(5)

    error = refusal(till, "r1", 10, bounds=limits(lifetime=5))

    assert type(error).__name__ == "InsufficientCredits"


def test_a_voided_hold_is_not_spent(rich: Till) -> None:
    bounds = limits(lifetime=100, monthly=100)
    rich.place("r1", 100, bounds=bounds)

    rich.void("r1")

    assert rich.figures() == KeyFigures(0, 0, 0, 0, 0)
    assert rich.place("r2", 100, bounds=bounds).held_credits == 100


def test_a_raised_settlement_spends_the_difference(rich: Till) -> None:
    rich.place("r1", 100)

    for target in (30, 30, 50, 40):
        rich.settle("r1", target)

    assert rich.figures() == KeyFigures(0, 0, 50, 0, 50)


def test_each_key_has_its_own_cap(rich: Till) -> None:
    other = rich.with_another_key()
    rich.place("r1", 100, bounds=limits(lifetime=100))

    assert other.place("r2", 100, bounds=limits(lifetime=100)).held_credits == 100


def place_in(till: Till, at_ms: int, name: str, amount: int, bounds: Limits) -> placing.Placed:
    hold = till.hold_request(name, amount, bounds=bounds)
    hold = replace(hold, facts=replace(hold.facts, started_at_ms=at_ms))
    reply = till.client.ask(placing.place(hold, lease_ms=60_000, limit=NO_LIMIT))
    return placing.parse_place(reply)


def test_a_new_month_begins_with_the_whole_cap(rich: Till) -> None:
    bounds = limits(monthly=100)
    place_in(rich, MARCH, "r1", 60, bounds)
    place_in(rich, MARCH, "r2", 40, bounds)

    placed = place_in(rich, APRIL, "r3", 100, bounds)
    rich.settle("r1", 25)

    assert placed.held_credits == 100
    # What began in March is March's, whenever it ends.
    assert rich.figures(202_603) == KeyFigures(2, 140, 25, 40, 25)
    assert rich.figures(202_604) == KeyFigures(2, 140, 25, 100, 0)


def test_a_new_month_does_not_begin_with_the_lifetimes_cap(rich: Till) -> None:
    bounds = limits(lifetime=100)
    place_in(rich, MARCH, "r1", 60, bounds)
    rich.settle("r1", 60)

    with pytest.raises(CapReached):
        place_in(rich, APRIL, "r2", 41, bounds)


def test_a_key_of_another_epoch_spent_nothing_in_any_month(rich: Till) -> None:
    place_in(rich, MARCH, "r1", 60, limits())
    rich.settle("r1", 60)
    open_fences(rich.client)

    place_in(rich, APRIL, "r2", 5, limits())

    assert rich.figures(202_603) == KeyFigures(1, 5, 0, 0, 0)


# --- The argument, and looking ------------------------------------------------------------------


@pytest.mark.parametrize(
    "packed",
    [
        "1 1 1 1 1 1 -1 -1 -1",
        "1 1 1 1 1 1 -1 -1 -1 -1 1",
        "0 1 1 1 1 1 -1 -1 -1 -1",
        "1 0 1 1 1 1 -1 -1 -1 -1",
        "1 1 0 1 1 1 -1 -1 -1 -1",
        "1 1 1 0 1 1 -1 -1 -1 -1",
        "1 1 1 1 0 1 -1 -1 -1 -1",
        "1 1 1 1 1 0 -1 -1 -1 -1",
        "1 1 1 1 1 1 -2 -1 -1 -1",
        "1 1 1 1 1 1 -1 -2 -1 -1",
        "1 1 1 1 1 1 -1 -1 -2 -1",
        "1 1 1 1 1 1 -1 -1 -1 -2",
        "1 1 1 1 1 1 -1 -1 -1 x",
    ],
)
def test_limits_that_are_none_change_nothing(rich: Till, packed: str) -> None:
    call = placing.place(rich.hold_request("r1", 10), lease_ms=1_000, limit=NO_LIMIT)
    arguments = Place(*call.arguments)  # type: ignore[arg-type]
    before = dump(rich)

    for _ in range(2):
        with pytest.raises(WalletError, match="ARGUMENT"):
            rich.client.ask(call._replace(arguments=arguments._replace(limits=packed)))

    assert dump(rich) == before


def test_a_thousand_kinds_of_limits_are_read_right(rich: Till) -> None:
    for number in range(1, 1_100):
        hold = rich.hold_request("free", 0, bounds=limits(lifetime=number))
        reply = rich.client.ask(placing.place(hold, lease_ms=60_000, limit=NO_LIMIT))
        assert reply[0] == b"OK"

    assert capped(rich, "r1", 8, limits(lifetime=7)) == (False, 7, 7)


def test_who_knows_an_older_version_of_a_key_is_told_nothing(rich: Till) -> None:
    with pytest.raises(WalletStale):
        figures.parse_inquiry(
            rich.client.ask(
                figures.inquire(
                    rich.wallet.pk, rich.key.pk, known_version=1, month=202_611, limits=limits()
                )
            )
        )


@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_inquiries_beyond_a_minutes_wait_for_the_smooth_refill(rich: Till, whose: str) -> None:
    bounds = limits(**{whose: {"requests_per_minute": 2}})  # type: ignore[arg-type]
    left = [rich.inquire(bounds=bounds).rate.requests.remaining for _ in range(2)]

    with pytest.raises(RateLimited) as refused:
        rich.inquire(bounds=bounds)

    assert left == [1, 0]
    assert (refused.value.what, refused.value.limit) == (Limited.REQUESTS, 2)
    assert refused.value.is_wallets == (whose == "wallet")
    assert 29_000 < refused.value.retry_after_ms <= 30_000


def test_an_inquiry_that_is_refused_takes_nothing(rich: Till) -> None:
    bounds = limits({"requests_per_minute": 2}, {"requests_per_minute": 1})
    rich.inquire(bounds=bounds)
    bucket = keys.inquiries_of_key(rich.wallet.pk, rich.key.pk)
    before = rich.client.redis.get(bucket)

    with pytest.raises(RateLimited):
        rich.inquire(bounds=bounds)

    assert before is not None
    assert rich.client.redis.get(bucket) == before


def test_all_keys_of_a_wallet_share_its_inquiries_per_minute(rich: Till) -> None:
    bounds = limits(wallet={"requests_per_minute": 2})
    other = rich.with_another_key()
    rich.inquire(bounds=bounds)
    other.inquire(bounds=bounds)

    with pytest.raises(RateLimited):
        rich.inquire(bounds=bounds)


def test_asking_again_is_no_inquiry(rich: Till) -> None:
    bounds = limits({"requests_per_minute": 2})

    left = [rich.inquire(bounds=bounds, count=count).rate.requests.remaining for count in (1, 0, 0)]

    assert left == [1, 1, 1]


def test_asking_about_what_was_never_asked_about(rich: Till) -> None:
    assert rich.inquire(count=0).rate.requests.remaining == limits().key.requests_per_minute


def test_inquiries_and_holds_take_nothing_of_each_other(rich: Till) -> None:
    bounds = limits({"requests_per_minute": 2})
    rich.inquire(bounds=bounds)
    rich.inquire(bounds=bounds)

    placed = rich.place("r1", 10, bounds=bounds)

    assert placed.rate.requests.remaining == 1


def test_inquiries_are_forgotten_when_all_are_back(rich: Till) -> None:
    rich.inquire(bounds=limits({"requests_per_minute": 2}, {"requests_per_minute": 1}))

    redis, wallet_id = rich.client.redis, rich.wallet.pk
    assert 29_000 < redis.pttl(keys.inquiries_of_key(wallet_id, rich.key.pk)) <= 30_000
    assert 59_000 < redis.pttl(keys.inquiries_of_wallet(wallet_id)) <= 60_000


def test_a_late_settlement_is_spent_by_its_key(rich: Till) -> None:
    late = rich.settlement(30)
    call = ending.settle_late(rich.facts("lost"), late, held=50, charged=0, target=0)

    rich.client.ask(call)

    assert rich.figures() == KeyFigures(0, 0, 30, 0, 30)


@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_a_request_that_took_its_turn_before_takes_one_in_all(rich: Till, whose: str) -> None:
    bounds = limits(**{whose: {"requests_per_minute": 2}})  # type: ignore[arg-type]
    rich.count_request(bounds)

    placed = rich.place("r1", 10, bounds=bounds, is_precounted=True)

    assert placed.rate.requests.remaining == 1


@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_turns_come_out_of_the_requests_per_minute(rich: Till, whose: str) -> None:
    bounds = limits(**{whose: {"requests_per_minute": 2}})  # type: ignore[arg-type]
    rich.place("r1", 10, bounds=bounds)
    rich.count_request(bounds)

    with pytest.raises(RateLimited) as refused:
        rich.count_request(bounds)

    assert (refused.value.what, refused.value.limit) == (Limited.REQUESTS, 2)
    assert refused.value.is_wallets == (whose == "wallet")
    with pytest.raises(RateLimited):
        rich.place("r2", 10, bounds=bounds)


def test_the_last_turn_is_good_for_its_hold(rich: Till) -> None:
    bounds = limits({"requests_per_minute": 1})
    rich.count_request(bounds)

    placed = rich.place("r1", 10, bounds=bounds, is_precounted=True)

    assert (placed.held_credits, placed.rate.requests.remaining) == (10, 0)


def test_a_turn_leaves_what_the_key_holds_and_spent(rich: Till) -> None:
    rich.place("r1", 10)
    before = rich.figures()

    rich.count_request()

    assert rich.figures() == before


@pytest.mark.parametrize(
    ("status", "refusal"), [({"state": "frozen"}, WalletFrozen), ({"debt": 1}, WalletInDebt)]
)
def test_who_may_hold_nothing_gets_no_turn(
    rich: Till, status: dict[str, Any], refusal: type[WalletError]
) -> None:
    standing = {"state": "active", "debt": 0, **status}
    rich.client.ask(
        figures.push(rich.wallet.pk, posted=10**7, credited=10**7, version=10**8, **standing)
    )

    with pytest.raises(refusal):
        rich.count_request()


def test_who_knows_an_older_version_of_a_key_gets_no_turn(rich: Till) -> None:
    with pytest.raises(WalletStale):
        rich.count_request(known_version=0)
