"""What an amount of the customer's choice buys."""

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing.catalogue.custom_amounts import credits_for, quote_again, quote_amount, quote_of
from billing.exceptions import AmountRefused, OfferChanged
from billing.models import AmountOffer, AmountStep

CURRENCIES = ("usd", "jpy", "kwd")
RATES = st.integers(1, 10**9)
CENTS = st.integers(1, 99_999_999)


def offer(currency: str = "usd", **fields: int | None) -> AmountOffer:
    """Sell from $10 to $5,000 at 100,000 credits a dollar, from $100 at 110,000."""
    values = {"least_cents": 1_000, "most_cents": 500_000, "credits_per_unit": 100_000, **fields}
    made = AmountOffer.objects.create(currency=currency, is_active=True, **values)
    AmountStep.objects.create(offer=made, from_cents=10_000, credits_per_unit=110_000)
    return made


@pytest.mark.parametrize(
    ("amount_cents", "credits"),
    [(1_000, 1_000_000), (9_999, 9_999_000), (10_000, 11_000_000), (500_000, 550_000_000)],
)
def test_an_amount_is_sold_as_a_whole_at_the_rate_that_it_reaches(
    db: None, amount_cents: int, credits: int
) -> None:
    offer()

    assert quote_amount("usd", amount_cents).credits == credits


@pytest.mark.parametrize(
    ("currency", "amount_cents", "says"),
    [
        ("usd", 999, "Choose an amount from $10.00 to $5,000.00."),
        ("usd", 500_001, "Choose an amount from $10.00 to $5,000.00."),
        ("eur", 1_000, "not sold in this currency"),
        ("isk", 1_050, "a multiple of ISK 1.00"),
    ],
)
def test_an_amount_that_is_not_sold_is_refused_with_what_is(
    db: None, currency: str, amount_cents: int, says: str
) -> None:
    offer()
    offer("isk")

    with pytest.raises(AmountRefused, match=says.replace("$", r"\$")):
        quote_amount(currency, amount_cents)


def test_an_offer_off_sale_sells_nothing(db: None) -> None:
    AmountOffer.objects.filter(pk=offer().pk).update(is_active=False)

    with pytest.raises(AmountRefused):
        quote_amount("usd", 1_000)


@given(
    currency=st.sampled_from(CURRENCIES),
    base=RATES,
    steps=st.lists(st.tuples(CENTS, RATES), max_size=5),
    amounts=st.tuples(CENTS, CENTS),
)
def test_more_money_never_buys_fewer_credits_whatever_the_table_says(
    currency: str, base: int, steps: list[tuple[int, int]], amounts: tuple[int, int]
) -> None:
    table = [(1, base), *steps]
    less, more = sorted(amounts)

    assert credits_for(currency, less, table) <= credits_for(currency, more, table)


@given(currency=st.sampled_from(CURRENCIES), base=RATES, amount_cents=CENTS)
def test_credits_are_rounded_down_by_less_than_one(
    currency: str, base: int, amount_cents: int
) -> None:
    scale = {"usd": 100, "jpy": 1, "kwd": 1_000}[currency]

    credits = credits_for(currency, amount_cents, [(1, base)])

    assert credits * scale <= amount_cents * base < (credits + 1) * scale


def test_an_amount_that_buys_no_whole_credit_is_refused(db: None) -> None:
    made = AmountOffer.objects.create(
        currency="usd", least_cents=99, most_cents=100, credits_per_unit=1
    )

    assert quote_of(made, 100).credits == 1
    with pytest.raises(AmountRefused):
        quote_of(made, 99)


def test_a_quote_holds_until_what_it_says_changes(db: None) -> None:
    made = offer()
    mark = quote_amount("usd", 10_000).mark
    assert quote_again(mark).mark == mark

    made.steps.update(credits_per_unit=109_000)

    with pytest.raises(OfferChanged):
        quote_again(mark)


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "usd",
        "usd:10000:11000000",
        "usd:10000:99000000:never",
        "usd:010000:11000000:never",
        "usd:10000:11000000:never\n",
        "usd:10000:11000000:30",
        "u\x00d:1:1:never",
        "9" * 400,
    ],
)
def test_a_quote_that_was_not_given_is_refused(db: None, mark: str) -> None:
    offer()

    with pytest.raises(OfferChanged):
        quote_again(mark)


@pytest.mark.parametrize(
    "wrong",
    [
        {"least_cents": 0},
        {"least_cents": 500_001},
        {"credits_per_unit": 0},
        {"validity_days": 0},
    ],
)
def test_the_database_refuses_an_offer_that_makes_no_sense(db: None, wrong: dict[str, int]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        offer("usd", **wrong)
