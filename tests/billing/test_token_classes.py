"""The records that spell the classes of tokens out agree with the table of them."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from django.db.models import Model

from billing.catalogue.pricing import Rates, Usage, price_classes
from billing.models import ModelPrice, UsageRecord
from billing.token_classes import CLASSES, COUNTS, PARTS, PRICE_RATES
from billing.wallet.usage import Settlement

EXAMPLE = Path(__file__).resolve().parents[2] / "templates" / "examples" / "usage.txt"


def columns(model: type[Model], suffix: str) -> list[str]:
    return [field.name for field in model._meta.get_fields() if field.name.endswith(suffix)]


def attributes(record: type, suffix: str) -> list[str]:
    return [field.name for field in fields(record) if field.name.endswith(suffix)]


@pytest.mark.parametrize(
    ("spelled_out", "table"),
    [
        (attributes(Usage, "_tokens"), COUNTS),
        (attributes(Settlement, "_tokens"), COUNTS),
        (columns(UsageRecord, "_tokens"), COUNTS),
        (attributes(Rates, "_millicredits"), [each.rate for each in CLASSES]),
        (columns(ModelPrice, "_rate_millicredits"), PRICE_RATES),
    ],
    ids=["usage", "settlement", "usage record", "rates", "model price"],
)
def test_a_record_has_a_field_for_each_class_and_no_other(
    spelled_out: list[str], table: tuple[str, ...]
) -> None:
    assert sorted(spelled_out) == sorted(table)


def test_a_price_may_leave_out_what_costs_as_much_as_its_parent() -> None:
    may_be_empty = {name for name in PRICE_RATES if ModelPrice._meta.get_field(name).null}

    assert may_be_empty == {each.price_rate for each in CLASSES if not each.has_own_rate}
    assert all(each.has_own_rate or each.parent for each in CLASSES)


def test_every_class_is_a_whole_or_a_part_of_one() -> None:
    wholes = {each.name for each in PARTS}

    assert {each.parent for each in CLASSES} == wholes | {""}
    assert sum(1 + len(parts) for parts in PARTS.values()) == len(CLASSES)


def test_a_token_of_each_class_is_charged_at_the_rate_of_that_class() -> None:
    # 1, 2, 4 …: any sum of some of them tells which.
    rates = Rates(price_id=1, version=1, **{each.rate: 2**n for n, each in enumerate(CLASSES)})
    wholes = {parent.count: 1 + len(parts) for parent, parts in PARTS.items()}

    lines = price_classes(rates, Usage(**(dict.fromkeys(COUNTS, 1) | wholes)))

    assert [(line.name, line.tokens) for line in lines] == [(each.name, 1) for each in CLASSES]
    assert sum(line.amount_millicredits for line in lines) == 2 ** len(CLASSES) - 1


def test_the_documented_receipt_names_every_class() -> None:
    assert set(json.loads(EXAMPLE.read_text())["usage"]) == {*COUNTS, "total_tokens"}
