"""What lots were sold for, and which part of it the credits taken from one had cost.

The credits of a lot are taken one after another, so a part of it lies between two positions. Its
money is the difference of the money up to each of them, rounded down: the parts of a lot add up to
what was paid for all that is taken of it, however many there are, and to all of it in the end.
"""

from typing import NamedTuple

from billing.models import Lot

# Millionths by currency, without zeros; empty for gifts.
Money = dict[str, int]


class Paid(NamedTuple):
    """What was paid for a lot, without tax and discount. No `micros`: it is not known."""

    micros: int | None = 0
    currency: str = ""


GIFT = Paid()


def part_of(micros: int, credits: int, *, start: int, end: int) -> int:
    """Return the money of credits `start` to `end`, of so many that were sold for `micros`."""
    return micros * end // credits - micros * start // credits


def sold_for(lot: Lot, credits: int) -> Money | None:
    """Return what the next credits of a lot were sold for; None if that is not known."""
    if lot.paid_micros is None:
        return None
    start = lot.granted_credits - lot.remaining_credits
    micros = part_of(lot.paid_micros, lot.granted_credits, start=start, end=start + credits)
    return {lot.currency: micros} if micros else {}


def add_money(one: Money | None, other: Money | None) -> Money | None:
    """Return the sum; None if either is not known."""
    if one is None or other is None:
        return None
    return {currency: one.get(currency, 0) + other.get(currency, 0) for currency in one | other}
