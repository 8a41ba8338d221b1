"""A worker that reads other journals than the web processes write is found out in time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone

from billing.upkeep.sightings import SIGHTINGS, SILENCE_S, find_worker_problem, note_worker
from billing.wallet.journal import journal_files, name_folder


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """No worker was seen yet."""
    cache.delete(SIGHTINGS)
    yield
    cache.delete(SIGHTINGS)


def test_a_worker_that_reads_the_same_folder_is_all_it_takes(tmp_path: Path) -> None:
    before = find_worker_problem(tmp_path)
    note_worker(tmp_path)

    assert (before, find_worker_problem(tmp_path)) == ("no worker has been seen", None)


def test_a_folder_is_the_same_under_another_path(tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(tmp_path)
    note_worker(tmp_path / "mounted")

    assert find_worker_problem(tmp_path) is None


@pytest.mark.parametrize("readers", [["other"], ["mine", "other"], ["other", "mine"]])
def test_even_one_of_many_workers_that_reads_another_is_one_too_many(
    tmp_path: Path, readers: list[str]
) -> None:
    for reader in readers:
        note_worker(tmp_path / reader)

    problem = find_worker_problem(tmp_path / "mine")

    assert problem is not None
    assert "JOURNAL_DIR" in problem


def test_a_worker_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    note_worker(tmp_path / "other")
    note_worker(tmp_path / "mine")

    with time_machine.travel(timezone.now() + timedelta(seconds=SILENCE_S + 1)):
        problem = find_worker_problem(tmp_path / "mine")

    assert problem == "no worker has been seen"


def test_a_folder_is_named_once_by_whoever_comes_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: name_folder(tmp_path), range(50)))

    assert len(names) == 1
    assert journal_files(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == [".folder"]
