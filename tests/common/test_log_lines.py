"""Lines of the log leave in order, and nobody waits for who reads them."""

import os
import threading
from collections import deque
from collections.abc import Iterator

import pytest

from common.log_lines import LineWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe's end to read from, and the one to write to. The first one is closed."""
    reading, writing = os.pipe()
    yield reading, writing
    # A writer that waits for its reader ends with it.
    os.close(reading)


def read_until(reading: int, end: bytes) -> bytes:
    got = b""
    while end not in got:
        got += os.read(reading, 65_536)
    return got


def test_it_writes_lines_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LineWriter(writing)

    for number in range(1_000):
        writer.put(b"%d" % number)

    assert writer.flush()
    got = read_until(reading, b"999\n")
    assert got == b"".join(b"%d\n" % number for number in range(1_000))


def test_nobody_waits_for_a_reader_that_stalls(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LineWriter(writing, most_waiting=100)
    line = b"x" * 1_000

    # More than a pipe takes, and all that may wait. A writer that waited would wait for ever.
    writing_all = threading.Thread(target=lambda: deque(map(writer.put, [line] * 5_000), 0))
    writing_all.start()
    writing_all.join(timeout=60)

    assert not writing_all.is_alive()
    assert not writer.flush(0.05)
    got = read_until(reading, b"log_lines_lost")
    assert got.count(line) < 5_000


def test_a_reader_that_went_away_is_no_error(pipe: tuple[int, int]) -> None:
    writing = os.dup(pipe[1])
    os.close(writing)
    writer = LineWriter(writing)

    writer.put(b"nobody reads this")

    assert writer.flush()
