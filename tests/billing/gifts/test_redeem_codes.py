"""Codes: each gives its credits once, to one customer, in time."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import User
from accounts.teams.members import own_seat
from billing.exceptions import (
    BatchExists,
    CodeExpired,
    CodeRevoked,
    CodeUnknown,
    CodeUsed,
    InvalidAmount,
    TooManyGuesses,
)
from billing.gifts.redeem_codes import (
    MAX_GUESSES_PER_NETWORK,
    MAX_GUESSES_PER_USER,
    BatchTerms,
    make_batch,
    make_code,
    normalize,
    redeem,
    revoke_batch,
)
from billing.models import CodeBatch, LedgerEntry, Lot, RedeemCode
from tests.billing.payments.conftest import posted
from tests.racing import race

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HERE = "203.0.113.9"


def make(actor: User, **fields: Any) -> tuple[CodeBatch, list[str]]:
    """Make 2 codes of 500 credits each."""
    terms = BatchTerms(**{"name": "Launch", "credits": 500, "size": 2, **fields})
    return make_batch(terms, actor=actor, once=uuid.uuid4())


def test_a_code_gives_its_credits(alice: User, bob: User) -> None:
    _, (code, _) = make(bob)

    entry = redeem(own_seat(alice), code, address=HERE)

    assert posted(alice) == 500
    assert entry.reference == f"code:{RedeemCode.objects.get(redeemed_by=alice).pk}"
    assert entry.reason == f"Code …{code[-4:]}"


def test_it_gives_them_once(alice: User, bob: User) -> None:
    _, (code, _) = make(bob)
    redeem(own_seat(alice), code, address=HERE)

    for user in (alice, bob):
        with pytest.raises(CodeUsed):
            redeem(own_seat(user), code, address=HERE)

    assert (posted(alice), posted(bob)) == (500, 0)


@pytest.mark.django_db(transaction=True)
def test_two_customers_at_once_get_it_once(alice: User, bob: User) -> None:
    _, (code, _) = make(bob)

    def attempt(user: User) -> bool:
        try:
            redeem(own_seat(user), code, address=HERE)
        except CodeUsed:
            return False
        return True

    won = race(
        [lambda: attempt(alice), lambda: attempt(bob)] * 3, meet_at='UPDATE "billing_redeemcode"'
    )

    assert won.count(True) == 1
    assert posted(alice) + posted(bob) == 500


@pytest.mark.django_db(transaction=True)
def test_one_customer_with_two_codes_at_once_gets_one(alice: User, bob: User) -> None:
    _, codes = make(bob)

    def attempt(code: str) -> bool:
        try:
            redeem(own_seat(alice), code, address=HERE)
        except CodeUsed:
            return False
        return True

    won = race([lambda code=code: attempt(code) for code in codes])  # type: ignore[misc]

    assert sorted(won) == [False, True]
    assert posted(alice) == 500


def test_a_customer_redeems_one_code_of_a_batch(alice: User, bob: User) -> None:
    _, (first, second) = make(bob)
    redeem(own_seat(alice), first, address=HERE)

    with pytest.raises(CodeUsed):
        redeem(own_seat(alice), second, address=HERE)

    redeem(own_seat(bob), second, address=HERE)
    assert (posted(alice), posted(bob)) == (500, 500)


def test_a_batch_may_allow_several_each(alice: User, bob: User) -> None:
    _, codes = make(bob, is_one_each=False)

    for code in codes:
        redeem(own_seat(alice), code, address=HERE)

    assert posted(alice) == 1_000


def test_the_lot_is_as_the_batch_says(alice: User, bob: User) -> None:
    _, (code, _) = make(bob, lot_days=30, is_promotional=False)

    with time_machine.travel(NOON, tick=False):
        redeem(own_seat(alice), code, address=HERE)

    lot = Lot.objects.get()
    assert (lot.expires_at, lot.is_promotional) == (NOON + timedelta(days=30), False)


@pytest.mark.parametrize(("minutes", "works"), [(-1, True), (0, False), (1, False)])
def test_a_code_works_until_its_hour(alice: User, bob: User, minutes: int, works: bool) -> None:
    _, (code, _) = make(bob, expires_at=NOON)

    with time_machine.travel(NOON + timedelta(minutes=minutes), tick=False):
        if works:
            redeem(own_seat(alice), code, address=HERE)
        else:
            with pytest.raises(CodeExpired):
                redeem(own_seat(alice), code, address=HERE)

    assert posted(alice) == (500 if works else 0)


def test_a_revoked_batch_gives_no_more(alice: User, bob: User) -> None:
    batch, (first, second) = make(bob)
    redeem(own_seat(alice), first, address=HERE)

    assert [revoke_batch(batch), revoke_batch(batch)] == [True, False]

    with pytest.raises(CodeRevoked):
        redeem(own_seat(bob), second, address=HERE)
    assert (posted(alice), posted(bob)) == (500, 0)


@pytest.mark.parametrize(
    "write", [str.lower, lambda c: c.replace("-", ""), lambda c: f"  {c.replace('-', ' ')}\n"]
)
def test_it_can_be_typed_as_people_type(alice: User, bob: User, write: Any) -> None:
    _, (code, _) = make(bob)

    redeem(own_seat(alice), write(code), address=HERE)

    assert posted(alice) == 500


def test_letters_that_look_like_digits_are_those_digits() -> None:
    assert normalize("oO0i-I1lL-AB12-CD34") == "00011111AB12CD34"


@pytest.mark.parametrize("text", ["", "ABCD", "U" * 16, "A" * 17, "\x00" * 16, "💎" * 16])
def test_what_can_be_no_code_is_unknown(alice: User, text: str) -> None:
    with pytest.raises(CodeUnknown):
        redeem(own_seat(alice), text, address=HERE)


def test_only_digests_are_stored(bob: User) -> None:
    _, codes = make(bob)

    rows = str(list(RedeemCode.objects.values()))

    for code in codes:
        assert code not in rows
        assert normalize(code) not in rows


def test_codes_are_random() -> None:
    codes = {make_code() for _ in range(1_000)}

    assert len(codes) == 1_000
    assert all(normalize(code) for code in codes)


def guess(user: User, times: int, *, address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(CodeUnknown):
            redeem(own_seat(user), make_code(), address=address)


def test_guessing_ends_after_a_few_attempts(alice: User, bob: User) -> None:
    _, (code, _) = make(bob)
    guess(alice, MAX_GUESSES_PER_USER)

    with pytest.raises(TooManyGuesses):
        redeem(own_seat(alice), code, address=HERE)

    assert posted(alice) == 0


def test_others_may_go_on(alice: User, bob: User) -> None:
    _, (code, _) = make(bob)
    guess(alice, MAX_GUESSES_PER_USER)

    redeem(own_seat(bob), code, address=HERE)

    assert posted(bob) == 500


def test_a_network_with_many_accounts_is_limited_too(alice: User, bob: User) -> None:
    guessers = [
        User.objects.create_user(f"guesser-{n}@example.com")
        for n in range(MAX_GUESSES_PER_NETWORK // MAX_GUESSES_PER_USER)
    ]
    for guesser in guessers:
        guess(guesser, MAX_GUESSES_PER_USER, address="203.0.113.200")

    with pytest.raises(TooManyGuesses):
        redeem(own_seat(alice), make_code(), address=HERE)

    guess(bob, 1, address="198.51.100.1")


def test_codes_that_are_right_are_no_guesses(alice: User, bob: User) -> None:
    _, codes = make(bob, size=MAX_GUESSES_PER_USER + 5, is_one_each=False)

    for code in codes:
        redeem(own_seat(alice), code, address=HERE)

    assert posted(alice) == 500 * (MAX_GUESSES_PER_USER + 5)


def test_a_redemption_that_breaks_leaves_the_code_unused(alice: User, bob: User) -> None:
    _, (code, _) = make(bob, credits=10**12)
    _, (second, _) = make(bob, credits=10**12)
    redeem(own_seat(alice), code, address=HERE)

    # The wallet is full: the grant is refused, and with it the redemption.
    with pytest.raises(InvalidAmount):
        redeem(own_seat(alice), second, address=HERE)

    assert RedeemCode.objects.filter(redeemed_by=alice).count() == 1
    assert LedgerEntry.objects.count() == 1


def test_the_same_press_of_the_button_makes_one_batch(bob: User) -> None:
    once = uuid.uuid4()
    terms = BatchTerms(name="Launch", credits=500, size=2)
    make_batch(terms, actor=bob, once=once)

    with pytest.raises(BatchExists):
        make_batch(terms, actor=bob, once=once)

    assert RedeemCode.objects.count() == 2


@pytest.mark.parametrize("terms", [{"size": 0}, {"size": 10_001}, {"credits": 0}, {"credits": -5}])
def test_a_batch_that_makes_no_sense_is_refused(bob: User, terms: dict[str, int]) -> None:
    with pytest.raises(InvalidAmount):
        make(bob, **terms)

    assert not CodeBatch.objects.exists()
