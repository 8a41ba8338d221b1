"""Many items in batches, so that no query or command is too large."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last may be shorter."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some
