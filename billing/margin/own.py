"""Requests of our own, such as probes: providers bill them, and no customer is charged for them.

Whoever makes such requests adds a reader of their sums, which are a line of their own in margins.
"""

from collections.abc import Callable
from datetime import date

from billing.margin.reads import Margin, total_of

# Returns what was used in the days from one to another, by day, model or provider.
Reader = Callable[[str, date, date], list[Margin]]
_readers: list[Reader] = []
# What own requests are told apart by: they have no customer and no key.
OWN_GROUPS = ("day", "model", "provider")


def add_reader(reader: Reader) -> None:
    """Have margins tell of one more kind of our own requests. Safe to repeat."""
    if reader not in _readers:
        _readers.append(reader)


def read_own(by: str, *, since: date, until: date) -> list[Margin]:
    """Return what our own requests cost, by group in the order of names; else in one sum."""
    if by in OWN_GROUPS:
        found = [margin for read in _readers for margin in read(by, since, until)]
        return sorted(found, key=lambda margin: margin.group)
    found = read_own("provider", since=since, until=until)
    return [total_of(found)] if found else []
