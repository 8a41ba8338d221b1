"""Meters at one instant."""

from collections.abc import Iterator

import pytest
import time_machine


@pytest.fixture(autouse=True, scope="module")
def one_instant() -> Iterator[None]:
    """Stop the clock: a chunk without `created` gets the second in which it is relayed.

    Two relays of one stream are compared byte by byte, and a second may end between them.
    """
    with time_machine.travel(1_764_374_400, tick=False):
        yield
