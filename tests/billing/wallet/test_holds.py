"""Holding and settling, one wallet, in Redis alone."""

from dataclasses import replace

import pytest

from billing.exceptions import (
    InsufficientCredits,
    RateLimited,
    UnknownHold,
    WalletError,
    WalletFrozen,
    WalletInDebt,
    WalletMissing,
    WalletRecovering,
    WalletStale,
)
from billing.ledger.debits import ask_debit
from billing.ledger.freezes import open_freezes
from billing.ledger.wallets import freeze_wallet, unfreeze_wallet
from billing.models import Debit
from billing.wallet import keys
from billing.wallet.commands import ending, figures, placing
from tests.conftest import open_fences
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_hold_takes_from_what_is_available(till: Till) -> None:
    till.grant(1_000)

    placed = till.place("r1", 300)

    assert (placed.held_credits, placed.available_credits) == (300, 700)
    assert till.balance() == figures.Balance(700, 300, 1_000, 0)


def test_a_settlement_releases_the_hold_and_charges_the_cost(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)

    settled = till.settle("r1", 120)

    assert (settled.charged_credits, settled.available_credits) == (120, 880)
    assert till.balance().held_credits == 0


def test_a_hold_that_is_not_covered_is_refused_and_changes_nothing(till: Till) -> None:
    till.grant(100)

    with pytest.raises(InsufficientCredits) as refusal:
        till.place("r1", 101)

    assert refusal.value.available_credits == 100
    assert till.balance() == figures.Balance(100, 0, 100, 0)


def test_a_hold_may_be_clamped_to_what_is_available(till: Till) -> None:
    till.grant(100)

    placed = till.place("r1", 4_096, least=1)

    assert (placed.units, placed.held_credits, placed.available_credits) == (100, 100, 0)


def test_placing_again_finds_the_same_hold(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)

    again = till.place("r1", 300)

    assert (again.held_credits, till.balance().held_credits) == (300, 300)


def test_settling_again_charges_nothing_more(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)

    charges = [till.settle("r1", 120).charged_credits for _ in range(3)]

    assert charges == [120, 120, 120]
    assert till.balance().available_credits == 880


def test_a_charge_is_the_highest_of_all_targets_in_any_order(till: Till) -> None:
    till.grant(1_000)
    till.place("r1", 300)

    charges = [till.settle("r1", target).charged_credits for target in (50, 120, 80)]

    assert charges == [50, 120, 120]
    assert till.balance().available_credits == 880


def test_a_charge_up_to_the_hold_is_taken_in_full_even_if_nothing_else_is_left(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.place("r2", 40)

    settled = till.settle("r1", 60)

    assert (settled.charged_credits, settled.available_credits) == (60, 0)


def test_a_charge_above_the_hold_takes_only_what_is_available(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.place("r2", 30)

    settled = till.settle("r1", 80)

    assert (settled.charged_credits, settled.available_credits) == (70, 0)


def test_a_settlement_that_is_repeated_takes_nothing_that_came_later(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.place("r2", 40)
    till.settle("r1", 80)
    till.void("r2")

    settled = till.settle("r1", 80)

    assert (settled.charged_credits, settled.available_credits) == (60, 40)
    assert till.client.redis.xlen(keys.events(till.shard)) == 1


def test_only_open_holds_have_a_lease(till: Till) -> None:
    till.grant(100)
    for name in ("open", "settled", "voided"):
        till.place(name, 10)
    till.settle("settled", 10)
    till.void("voided")

    assert till.open_requests() == ["open"]


def test_a_debt_blocks_even_what_is_available(till: Till) -> None:
    till.grant(100)
    till.place("held", 60)
    ask_debit(Debit(wallet=till.wallet, kind="clawback", reference="refund:1", amount_credits=100))
    till.drain()
    till.void("held")

    with pytest.raises(WalletInDebt):
        till.place("r1", 1)

    assert till.balance() == figures.Balance(60, 0, 60, 60)


def test_a_void_releases_the_hold_at_no_charge(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)

    assert till.void("r1") is True
    assert till.void("r1") is True
    assert till.balance() == figures.Balance(100, 0, 100, 0)


def test_a_void_after_a_settlement_changes_nothing(till: Till) -> None:
    till.grant(100)
    till.place("r1", 60)
    till.settle("r1", 10)

    assert till.void("r1") is False
    assert till.balance().available_credits == 90


def test_an_unknown_hold_is_not_settled(till: Till) -> None:
    till.grant(100)

    with pytest.raises(UnknownHold):
        till.settle("never-placed", 10)


def test_a_frozen_wallet_places_nothing_until_it_is_unfrozen(till: Till) -> None:
    till.grant(100)
    freeze_wallet(till.wallet, reason="looked stolen")

    with pytest.raises(WalletFrozen):
        till.place("r1", 10)

    unfreeze_wallet(till.wallet, causes=open_freezes(till.wallet))
    assert till.place("r2", 10).held_credits == 10


def test_a_caller_with_an_older_version_is_told_to_read_anew(till: Till) -> None:
    till.grant(100)
    stale = replace(till.hold_request("r1", 10), wallet_version=1)

    with pytest.raises(WalletStale):
        placing.parse_place(till.client.ask(placing.place(stale, lease_ms=1_000, limit=NO_LIMIT)))


def test_a_wallet_that_redis_does_not_know_is_said_to_be_missing(till: Till) -> None:
    till.client.redis.flushdb()
    open_fences(till.client)

    call = placing.place(till.hold_request("r1", 10), lease_ms=1_000, limit=NO_LIMIT)
    with pytest.raises(WalletMissing):
        placing.parse_place(till.client.ask(call))


def test_requests_beyond_the_limit_wait_for_the_smooth_refill(till: Till) -> None:
    till.grant(1_000)

    def place(name: str) -> placing.Placed:
        limited = replace(till.hold_request(name, 1), limits=limits({"requests_per_minute": 3}))
        return placing.parse_place(
            till.client.ask(placing.place(limited, lease_ms=1_000, limit=NO_LIMIT))
        )

    assert [place(f"r{i}").rate.requests.remaining for i in range(3)] == [2, 1, 0]
    with pytest.raises(RateLimited) as refusal:
        place("r3")

    assert refusal.value.limit == 3
    assert 0 < refusal.value.retry_after_ms <= 20_000
    assert till.balance().held_credits == 3


@pytest.mark.parametrize("bad", ["1.5", "", "-1", "1e3", "99999999999999999", "x"])
def test_a_malformed_argument_is_refused_before_anything_is_written(till: Till, bad: str) -> None:
    till.grant(100)
    till.place("r1", 60)
    call = ending.settle(till.facts("r1"), till.settlement(10))
    broken = call._replace(arguments=(call.arguments[0], bad, call.arguments[2]))

    with pytest.raises(WalletError, match="ARGUMENT"):
        till.client.ask(broken)

    assert till.balance() == figures.Balance(40, 60, 100, 0)


def test_a_charge_of_zero_is_a_charge(till: Till) -> None:
    till.grant(100)
    till.place("r1", 0)

    settled = till.settle("r1", 0)

    assert (settled.charged_credits, till.drain(), till.receipt("r1").charged_credits) == (0, 1, 0)


def test_nothing_is_placed_after_a_flush_until_the_wallets_are_rebuilt(till: Till) -> None:
    till.grant(100)
    till.client.redis.flushall()

    with pytest.raises(WalletRecovering):
        till.place("r1", 10)


def test_amounts_of_a_trillion_stay_exact(till: Till) -> None:
    till.grant(1_000_000_000_000)
    till.place("r1", 999_999_999_999)

    settled = till.settle("r1", 999_999_999_998)

    assert (settled.charged_credits, settled.available_credits) == (999_999_999_998, 2)
