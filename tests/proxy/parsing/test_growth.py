"""What a stranger may send costs no more than its bytes: up to the hold, work grows with them.

The families are those of `make fairness`, in `bench/fairness/families.py`; each is a shape of body
that grows by repeating one unit.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bench.fairness.families import FAMILIES, Family
from proxy.errors import InvalidRequest
from proxy.metering.bounds import bound_exactly
from proxy.parsing import jsonbody
from proxy.serving.endpoints import CHAT, ENDPOINTS, Endpoint
from tests.proxy.readers import reader_of

# Above every size at which the work changes its kind, below the one from which bytes are a bound.
BASE_BYTES = 250_000
# A body with more quotes than may be has its strings emptied, which is other work.
OTHER_BASES = {"escaped quotes": 2 * jsonbody.OUTLINED_BYTES + 50_000}
# Twice the bytes: twice the work, and some for caches that no longer hold it all.
MOST_GROWTH = 2.5
ROUNDS = 12

READERS = {"/v1" + endpoint.path: endpoint for endpoint in ENDPOINTS}
# Each body once, however many families send it.
GROWING = {
    family.body: (name, family)
    for name, family in FAMILIES.items()
    if callable(family.body) and family.path in READERS
}


def cpu_s(endpoint: Endpoint, body: bytes) -> float:
    """Do what is done with a body before its hold is asked for, and return the CPU it took."""
    # What the collector does at such a moment is about everything else in the process.
    gc.disable()
    started = time.thread_time()
    try:
        with suppress(InvalidRequest):
            request = endpoint.request.parse(jsonbody.parse(body))
            prompt = endpoint.take_apart(request.body, request.model)
            bound_exactly(prompt, reader_of(request.model))
        return time.thread_time() - started
    finally:
        gc.enable()


def growths(endpoint: Endpoint, small: bytes, large: bytes) -> Iterator[float]:
    """Compare the least that each has taken, again and again: a busy machine only adds to it."""
    least_small = least_large = float("inf")
    for _ in range(ROUNDS):
        least_small = min(least_small, cpu_s(endpoint, small))
        least_large = min(least_large, cpu_s(endpoint, large))
        yield least_large / least_small


@pytest.mark.parametrize(
    ("name", "family"), GROWING.values(), ids=[name for name, _ in GROWING.values()]
)
def test_twice_the_bytes_take_little_more_than_twice_the_work(name: str, family: Family) -> None:
    endpoint, build = READERS[family.path], family.body
    assert callable(build)
    base = OTHER_BASES.get(name, BASE_BYTES)
    small, twice, four_times = (build(base * times) for times in (1, 2, 4))
    assert len(twice) < 2.1 * len(small)

    # One doubling may pass the bound of a cache that others use as well; two of them don't.
    assert any(growth <= MOST_GROWTH for growth in growths(endpoint, small, twice)) or any(
        growth <= MOST_GROWTH**2 for growth in growths(endpoint, small, four_times)
    )


def test_a_megabyte_of_digits_takes_milliseconds() -> None:
    body = b'{"y":1.%be19}' % (b"1" * 1_000_000)

    assert min(cpu_s(CHAT, body) for _ in range(ROUNDS)) < 0.05
