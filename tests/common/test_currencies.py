"""The table of currencies: whole, from one source, and in line with the emulator's own reading."""

import csv
import re
from datetime import date
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from billing.models import Pack
from common import currencies
from sandbox.stripe import currencies as theirs

FILE = Path(currencies.__file__).with_name("currencies.csv")
ROWS = list(csv.DictReader(FILE.read_text().splitlines()))
CHAPTERS = {"two-decimal", "zero-decimal", "three-decimal", "special-cases"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["code"]))
def test_a_row_says_all_that_is_known_and_from_where(row: dict[str, str]) -> None:
    assert row["source"] in CHAPTERS
    assert date.fromisoformat(row["read"]) <= date(2026, 11, 28)
    assert (row["places"], row["step"]) in {("0", "1"), ("2", "1"), ("2", "100"), ("3", "10")}
    assert (row["status"] == currencies.SOURCED) is bool(row["minimum"])
    assert int(row["minimum"] or 0) % int(row["step"]) == 0


def test_no_currency_has_two_rows() -> None:
    codes = [row["code"] for row in ROWS]

    assert codes == sorted(set(codes))


def places_there(code: str) -> int:
    """Return how many decimal places the emulator writes."""
    return len(re.sub("[^0-9.]", "", theirs.written(10_000, code)).partition(".")[2])


def test_two_readings_of_stripes_page_agree() -> None:
    known = [code for code in currencies.TABLE if theirs.is_known(code)]

    assert len(known) > 120
    for code in known:
        ours = currencies.rules_of(code)
        # The emulator takes the dollar's least charge where Stripe names none.
        least = ours.minimum or 50
        assert (code, places_there(code), theirs.step(code), theirs.minimum(code)) == (
            code,
            ours.places,
            ours.step,
            least,
        )


@pytest.mark.parametrize(
    ("currency", "cents", "is_sold"),
    [("usd", 49, False), ("usd", 50, True), ("huf", 17_400, False), ("jpy", 50, True)],
)
def test_a_price_below_the_least_charge_is_refused(
    currency: str, cents: int, is_sold: bool
) -> None:
    pack = Pack(name="X", slug="x", credits=1, price_cents=cents, currency=currency)

    try:
        pack.clean()
    except ValidationError as refusal:
        assert "at least" in str(refusal)
        assert not is_sold
    else:
        assert is_sold


@pytest.mark.parametrize(
    ("currency", "doubt"),
    [("usd", ""), ("cop", "names no least charge"), ("xyz", "not in our table")],
)
def test_what_stripe_does_not_say_is_doubted(currency: str, doubt: str) -> None:
    said = currencies.doubt_of(currency)

    assert (doubt in said) if doubt else said == ""
