"""Money and credits as text."""

from decimal import Decimal

import pytest

from common import money


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (900, "usd", "$9.00"),
        (123_456_789, "eur", "€1,234,567.89"),
        (900, "jpy", "¥900"),
        (1_500, "kwd", "KWD 1.500"),
        (905, "chf", "CHF 9.05"),
    ],
)
def test_it_writes_a_price_in_its_currency(amount: int, currency: str, text: str) -> None:
    assert money.price(amount, currency) == text


def test_it_writes_credits_with_separators() -> None:
    assert money.credits(1_234_567) == "1,234,567"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (999, "999"),
        (1_000, "1k"),
        (1_299_999, "1.2M"),
        (100_000_000, "100M"),
        (2_500_000_000, "2.5B"),
    ],
)
def test_it_never_rounds_a_compact_figure_up(amount: int, text: str) -> None:
    assert money.compact(amount) == text


def test_it_gives_a_unit_price_two_more_places_where_it_needs_them() -> None:
    even = money.per_million(900, 1_000_000)
    odd = money.per_million(1_000, 3_000_000)

    assert money.fine_price(even, "usd") == "$9.00"
    assert money.fine_price(odd, "usd") == "$3.3333"
    assert money.fine_price(Decimal("0.5"), "jpy") == "¥0.50"


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1_000, "1"), (500, "0.5"), (75, "0.075"), (12_000, "12"), (100_000, "100"), (0, "0")],
)
def test_it_writes_a_rate_per_token(rate: int, text: str) -> None:
    assert money.rate(rate) == text
