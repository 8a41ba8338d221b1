"""The limit of credits stands once, and everybody who counts them counts so far exactly."""

import re
import sys

from django.db import connection, models

from billing.models import Lot, Wallet
from billing.wallet import library
from common.credits import MAX_CREDITS
from tests.sources import product_files

# What else is a trillion: the word for it, and money.
OTHERS = {"common/money.py", "billing/top_ups/agreement.py"}
TRILLION = re.compile(r"1_?000_?000_?000_?000\b|10\s?\*\*\s?12\b|\b1e12\b")


def test_redis_counts_thousandths_of_every_balance_exactly() -> None:
    found = re.search(r"^local MAX_INTEGER = (\d+)", library.read_part("values"), re.MULTILINE)

    assert found is not None
    # What Lua's numbers, which are floats, hold exactly.
    assert int(found[1]) == 2**sys.float_info.mant_dig - 1
    assert int(found[1]) >= MAX_CREDITS * 1_000


def test_postgresql_holds_every_balance() -> None:
    columns = [
        field
        for model in (Wallet, Lot)
        for field in model._meta.get_fields()
        if isinstance(field, models.IntegerField) and field.name.endswith("_credits")
    ]

    assert len(columns) >= 5
    for column in columns:
        _, most = connection.ops.integer_field_range(column.get_internal_type())
        assert most is not None
        assert most >= MAX_CREDITS


def test_the_limit_stands_once() -> None:
    stating = {name for name, text in product_files() if TRILLION.search(text)}

    assert stating - OTHERS == {"common/credits.py"}
