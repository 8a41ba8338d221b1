"""Numbers as people type them."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils.translation import override

from common.number_fields import AmountField, WholeNumberField


@pytest.mark.parametrize(
    ("typed", "language", "meant"),
    [
        ("5000000", "en", 5_000_000),
        ("5,000,000", "en", 5_000_000),
        ("5 000 000", "en", 5_000_000),
        ("5\u202f000\u202f000", "en", 5_000_000),
        ("5\u2019000", "en", 5_000),
        (" 12,345 ", "en", 12_345),
        ("-1,000", "en", -1_000),
        ("5.000.000", "de", 5_000_000),
        ("5000", "de", 5_000),
    ],
)
def test_a_whole_number_is_understood_with_its_groups(
    typed: str, language: str, meant: int
) -> None:
    with override(language):
        assert WholeNumberField().clean(typed) == meant


@pytest.mark.parametrize(
    ("typed", "language"),
    [
        ("5,00", "en"),
        ("5,0000", "en"),
        ("50,00,000", "en"),
        ("5,000 000", "en"),
        (",000", "en"),
        ("5,", "en"),
        ("5.000", "en"),
        ("5,000", "de"),
        ("1.5", "en"),
        ("²", "en"),
        ("5,000k", "en"),
        ("9" * 5_000, "en"),
    ],
)
def test_what_could_mean_two_numbers_is_refused(typed: str, language: str) -> None:
    with override(language), pytest.raises(ValidationError):
        WholeNumberField().clean(typed)


@pytest.mark.parametrize(
    ("typed", "language", "meant"),
    [
        ("1,234.50", "en", "1234.50"),
        ("1 234.5", "en", "1234.5"),
        ("1,234", "en", "1234"),
        ("0.5", "en", "0.5"),
        ("1.234,50", "de", "1234.50"),
        ("12,5", "de", "12.5"),
    ],
)
def test_an_amount_is_understood_with_its_groups(typed: str, language: str, meant: str) -> None:
    with override(language):
        assert AmountField().clean(typed) == Decimal(meant)


@pytest.mark.parametrize("typed", ["1,23.4", "1,2345", "5,50", "1.2.3", "NaN", "inf"])
def test_an_amount_that_could_mean_two_is_refused(typed: str) -> None:
    with override("en"), pytest.raises(ValidationError):
        AmountField().clean(typed)


def test_a_number_is_shown_in_groups_and_a_wrong_one_as_it_was_typed() -> None:
    field = WholeNumberField()

    with override("en"):
        assert field.prepare_value(5_000_000) == "5,000,000"
        assert field.prepare_value("5,00") == "5,00"
