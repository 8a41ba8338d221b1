"""The customer's own threshold: told once below it, and again only after the balance was above."""

import pytest

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.exceptions import InvalidAmount
from billing.ledger.credits import Cause, append_entry, lock_wallet
from billing.ledger.references import RequestCharge
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import LedgerEntry, Notice, NotificationSettings
from billing.notices.low_balance import (
    get_notification_settings,
    notify_low_balances,
    save_notification_settings,
)


def set_threshold(user: User, credits: int, *, is_wanted: bool = True) -> None:
    save_notification_settings(
        own_seat(user),
        wants_low_balance=is_wanted,
        low_balance_credits=credits,
        wants_lot_expiring=True,
        wants_top_up_succeeded=True,
        wants_monthly_summary=True,
    )


def spend(user: User, amount: int) -> None:
    """Book usage as the drain does; what Redis thinks of it does not matter here."""
    wallet = lock_wallet(wallet_of(user).pk)
    reference = f"req_{LedgerEntry.objects.count()}"
    append_entry(wallet, Cause(LedgerEntry.Kind.USAGE, RequestCharge(reference)), -amount)
    wallet.save()


def grant(user: User, credits: int) -> None:
    grant_credits(wallet_of(user), credits=credits, reason="test")


def told() -> int:
    notify_low_balances()
    return Notice.objects.filter(kind="low_balance").count()


@pytest.fixture
def buyer(alice: User, unchecked_books: None) -> User:
    """Alice with 1,000 credits, who wants to know when fewer than 300 are left."""
    set_threshold(alice, 300)
    grant(alice, 1_000)
    return alice


def test_above_the_threshold_nothing_is_told(buyer: User) -> None:
    spend(buyer, 700)

    assert told() == 0


def test_below_it_is_told_once(buyer: User) -> None:
    spend(buyer, 701)

    assert [told(), told()] == [1, 1]
    facts = Notice.objects.get(kind="low_balance").facts
    assert facts == {"posted_credits": 299, "threshold_credits": 300}


def test_further_spending_is_not_told(buyer: User) -> None:
    spend(buyer, 800)
    told()

    spend(buyer, 100)

    assert told() == 1


def test_a_credit_that_stays_below_arms_nothing(buyer: User) -> None:
    spend(buyer, 900)
    told()

    grant(buyer, 100)
    spend(buyer, 50)

    assert told() == 1


def test_after_it_was_above_it_is_told_again(buyer: User) -> None:
    spend(buyer, 900)
    told()

    grant(buyer, 500)
    spend(buyer, 400)

    assert told() == 2


def test_a_rise_and_fall_between_two_sweeps_counts(buyer: User) -> None:
    spend(buyer, 900)
    told()
    grant(buyer, 500)
    spend(buyer, 550)

    assert told() == 2


def test_a_fall_that_was_made_good_before_the_sweep_is_not_told(buyer: User) -> None:
    spend(buyer, 900)
    grant(buyer, 500)

    assert told() == 0


def test_who_never_had_a_token_is_not_told(alice: User) -> None:
    set_threshold(alice, 300)

    assert told() == 0


def test_a_threshold_above_the_balance_waits_until_that_was_above(buyer: User) -> None:
    set_threshold(buyer, 5_000)
    before = told()

    grant(buyer, 5_000)
    spend(buyer, 2_000)

    assert (before, told()) == (0, 1)


def test_a_lower_threshold_is_told_of_too(buyer: User) -> None:
    spend(buyer, 800)
    told()
    set_threshold(buyer, 100)

    spend(buyer, 150)

    assert told() == 2


def test_saving_the_same_threshold_changes_nothing(buyer: User) -> None:
    spend(buyer, 800)
    told()

    set_threshold(buyer, 300)

    assert told() == 1


def test_switched_off_it_is_not_told(buyer: User) -> None:
    set_threshold(buyer, 300, is_wanted=False)

    spend(buyer, 900)

    assert told() == 0


def test_the_first_credit_arms_it_for_who_never_chose(alice: User) -> None:
    grant(alice, 1_000_000)

    assert get_notification_settings(own_team(alice), alice).low_balance_credits == 100_000
    assert (
        get_notification_settings(own_team(alice), alice).armed_by == wallet_of(alice).entries.get()
    )


@pytest.mark.parametrize("credits", [0, -1, 10**13])
def test_it_refuses_a_threshold_that_makes_no_sense(alice: User, credits: int) -> None:
    with pytest.raises(InvalidAmount):
        set_threshold(alice, credits)

    assert not NotificationSettings.objects.exists()
