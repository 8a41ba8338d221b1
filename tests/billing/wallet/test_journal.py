"""The local file that a crash leaves behind."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from billing.wallet.journal import (
    Journal,
    JournalContents,
    adoptable_files,
    journal_files,
    read_all,
)
from billing.wallet.usage import RequestFacts, Settlement


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path)
    yield opened
    opened.close()


def facts(request_id: str) -> RequestFacts:
    return RequestFacts(request_id, 7, 3, 5, "gpt-4", "chat.completions", False, 1_700_000_000_000)


def ending(target: int) -> Settlement:
    return Settlement(target, "completed", "reported", 8, 0, 30, 0, "sandbox", 1, 1_700_000_001_000)


def only_file(directory: Path) -> Path:
    (path,) = journal_files(directory)
    return path


def test_it_remembers_what_started_ended_and_was_voided(journal: Journal, tmp_path: Path) -> None:
    for name in ("open", "ended", "voided"):
        journal.start(facts(name), 100)
    journal.end(facts("ended"), ending(38))
    journal.void(facts("voided"))

    contents = read_all(tmp_path)

    assert contents.open_requests() == [(facts("open"), 100)]
    assert contents.ended == {"ended": (facts("ended"), ending(38))}
    assert contents.voided == {"voided"}


def test_a_living_process_keeps_its_file(journal: Journal, tmp_path: Path) -> None:
    journal.start(facts("r1"), 100)

    assert list(adoptable_files(tmp_path)) == []


def test_a_closed_journal_is_left_to_the_worker(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.start(facts("r1"), 100)
    journal.close()

    assert list(adoptable_files(tmp_path)) == [only_file(tmp_path)]


def test_a_killed_process_leaves_its_file_to_the_worker(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from billing.wallet.journal import Journal\n"
        "journal = Journal.open(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        before = list(adoptable_files(tmp_path))
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    assert (before, list(adoptable_files(tmp_path))) == ([], [only_file(tmp_path)])


def test_two_workers_do_not_adopt_the_same_file_at_once(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    first = adoptable_files(tmp_path)
    taken = next(first)

    assert list(adoptable_files(tmp_path)) == []

    first.close()  # type: ignore[attr-defined]
    assert list(adoptable_files(tmp_path)) == [taken]


def test_a_file_that_another_worker_removed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal.open(tmp_path).close()
    lock = fcntl.flock

    def lock_too_late(file: int, how: int) -> None:
        only_file(tmp_path).unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_too_late)

    assert list(adoptable_files(tmp_path)) == []


def test_a_torn_last_line_is_no_line(journal: Journal, tmp_path: Path) -> None:
    journal.start(facts("r1"), 100)
    with only_file(tmp_path).open("ab") as file:
        file.write(b'["e",["r1",7,3,5,"gpt-4"')

    contents = read_all(tmp_path)

    assert contents.open_requests() == [(facts("r1"), 100)]
    assert contents.unreadable_lines == 0


@pytest.mark.parametrize("line", [b"{", b"null", b"[]", b'["e",["r1"],[3]]', b'["x",1]', b"7"])
def test_an_unreadable_line_hides_no_other(journal: Journal, tmp_path: Path, line: bytes) -> None:
    journal.start(facts("r1"), 100)
    with only_file(tmp_path).open("ab") as file:
        file.write(line + b"\n")
    journal.start(facts("r2"), 200)

    contents = read_all(tmp_path)

    assert [held for _, held in contents.open_requests()] == [100, 200]
    assert contents.unreadable_lines == 1


def test_an_old_file_is_followed_by_one_with_what_is_still_open(
    journal: Journal, tmp_path: Path
) -> None:
    journal.start(facts("open"), 100)
    journal.start(facts("ended"), 100)
    journal.end(facts("ended"), ending(38))
    journal.rotate_bytes = 1

    journal.rotate_if_due()

    (old,) = adoptable_files(tmp_path)
    (new,) = set(journal_files(tmp_path)) - {old}
    in_old, in_new = JournalContents(), JournalContents()
    in_old.read(old)
    in_new.read(new)
    assert (in_old.is_rotated, list(in_old.ended)) == (True, ["ended"])
    assert (in_new.is_rotated, in_new.open_requests()) == (False, [(facts("open"), 100)])


def test_a_new_file_knows_which_upstreams_were_asked(journal: Journal, tmp_path: Path) -> None:
    for name in ("asked", "refused"):
        journal.start(facts(name), 100)
        journal.ask(facts(name), 100, ending(8))
    journal.refused(facts("refused"), 100)
    old = only_file(tmp_path)
    journal.rotate_bytes = 1

    journal.rotate_if_due()

    in_new = JournalContents()
    in_new.read(next(path for path in journal_files(tmp_path) if path != old))
    assert in_new.if_lost == {"asked": ending(8)}
    assert set(in_new.held) == {"asked", "refused"}


def test_a_file_is_rotated_after_its_time_but_not_before_it_has_a_line(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, rotate_s=0)

    journal.rotate_if_due()
    before = len(journal_files(tmp_path))
    journal.start(facts("r1"), 100)
    journal.rotate_if_due()

    assert (before, len(journal_files(tmp_path))) == (1, 2)
    journal.close()


def test_more_open_requests_than_fit_into_a_file_do_not_rotate_it_with_every_line(
    journal: Journal, tmp_path: Path
) -> None:
    for number in range(100):
        journal.start(facts(f"r{number}"), 100)
    journal.rotate_bytes = 1_000

    for number in range(5):
        journal.start(facts(f"s{number}"), 100)

    assert len(journal_files(tmp_path)) == 2


def test_a_clock_that_goes_back_loses_no_file(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    journal.rotate_bytes = 1

    for number in range(5):
        journal.start(facts(f"r{number}"), 100)

    assert len(journal_files(tmp_path)) == 5
    held = [request.request_id for request, _ in read_all(tmp_path).open_requests()]
    assert sorted(held) == ["r0", "r1", "r2", "r3", "r4"]


def test_a_full_disk_leaves_no_half_line(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start(facts("r1"), 100)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:20]))

    with pytest.raises(OSError, match="full"):
        journal.start(facts("r2"), 100)

    monkeypatch.undo()
    journal.end(facts("r1"), ending(38))
    contents = read_all(tmp_path)
    assert (list(contents.ended), list(contents.held)) == (["r1"], ["r1"])
    assert contents.unreadable_lines == 0


def test_an_end_without_room_is_written_once_there_is_some(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start(facts("r1"), 100)
    journal.start(facts("r2"), 100)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda file, line: 0)
        journal.end(facts("r1"), ending(38))
        journal.void(facts("r2"))
        with pytest.raises(OSError, match="full"):
            journal.start(facts("r3"), 100)

    journal.catch_up()

    contents = read_all(tmp_path)
    assert (list(contents.ended), contents.voided) == (["r1"], {"r2"})
    assert contents.open_requests() == []


def test_an_end_that_is_owed_is_in_the_file_that_goes_on(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start(facts("r1"), 100)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda file, line: 0)
        journal.end(facts("r1"), ending(38))
    old = only_file(tmp_path)
    journal.rotate_bytes = 1

    journal.catch_up()
    old.unlink()

    assert list(read_all(tmp_path).ended) == ["r1"]


def test_what_could_not_be_written_is_not_taken_for_open(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda file, line: 0)
        with pytest.raises(OSError, match="full"):
            journal.start(facts("refused"), 100)

    journal.start(facts("r1"), 100)
    journal.rotate_bytes = 1
    journal.rotate_if_due()

    assert [r.request_id for r, _ in read_all(tmp_path).open_requests()] == ["r1"]


def test_a_rotation_that_fails_goes_on_in_the_old_file(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start(facts("r1"), 100)
    old = only_file(tmp_path)
    write = os.write

    def refuse_the_mark(file: int, line: bytes) -> int:
        return write(file, line) if line != b'["r"]\n' else 0

    with monkeypatch.context() as trouble:
        trouble.setattr(os, "write", refuse_the_mark)
        journal.rotate_bytes = 1
        journal.end(facts("r1"), ending(38))

    assert journal_files(tmp_path) == [old]
    assert list(adoptable_files(tmp_path)) == []
    assert list(read_all(tmp_path).ended) == ["r1"]


def test_reading_all_finds_the_successor_of_a_file_that_went_away(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start(facts("open"), 100)
    old = only_file(tmp_path)
    read = Path.read_bytes

    def rotate_before_reading(path: Path) -> bytes:
        if path == old and old.exists():
            journal.rotate_bytes = 1
            journal.rotate_if_due()
            old.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", rotate_before_reading)

    assert read_all(tmp_path).open_requests() == [(facts("open"), 100)]


def test_of_two_ends_of_a_request_the_higher_counts(journal: Journal, tmp_path: Path) -> None:
    for target in (38, 12):
        journal.end(facts("r1"), replace(ending(38), target_credits=target))

    assert read_all(tmp_path).ended["r1"][1].target_credits == 38


def test_closing_twice_closes_once(journal: Journal) -> None:
    journal.close()
    journal.close()


def test_a_request_goes_on_if_the_disk_has_no_room_for_its_upstream_call(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.start(facts("r1"), 100)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda file, line: 0)
        journal.ask(facts("r1"), 100, ending(8))
    in_old = read_all(tmp_path).if_lost
    journal.rotate_bytes = 1

    journal.rotate_if_due()

    assert (in_old, read_all(tmp_path).if_lost) == ({}, {"r1": ending(8)})
