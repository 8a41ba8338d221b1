"""Time that other programs took."""

import os

import pytest

from bench.chaos.neighbours import Neighbours, busy_s, ours_s

CORES = os.cpu_count() or 1


def test_it_gives_what_others_took_as_a_share_of_the_whole_machine() -> None:
    neighbours = Neighbours()
    neighbours.note(10.0, busy_s=0.0, ours_s=0.0)
    # In 10 s all processors were busy, and three quarters of that was not for us.
    neighbours.note(20.0, busy_s=10.0 * CORES, ours_s=2.5 * CORES)

    assert neighbours.taken_s(10.0, 20.0) == 7.5
    assert neighbours.taken_s(12.0, 16.0) == pytest.approx(3.0)


def test_on_a_quiet_machine_nothing_is_taken() -> None:
    neighbours = Neighbours()
    neighbours.note(10.0, busy_s=5.0, ours_s=5.0)
    neighbours.note(20.0, busy_s=15.0, ours_s=15.0)

    assert neighbours.taken_s(10.0, 20.0) == 0.0


def test_without_a_sample_nothing_is_excused() -> None:
    assert Neighbours().taken_s(10.0, 20.0) == 0.0


def test_our_own_time_is_part_of_the_machine_s() -> None:
    assert 0.0 < ours_s() < busy_s()
