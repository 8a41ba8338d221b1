"""Orders to die, and the processes that read them."""

import importlib
import os
import signal
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest

from bench.chaos.kill_points import POINTS, Order, Watch, give, has_fired, withdraw
from devstack.environment import ROOT

STEP = "billing.wallet.journal:Journal.start"


def order(order_id: str = "w1", *, call: int = 1) -> Order:
    return Order(order_id=order_id, point=STEP, when="after", call=call)


@pytest.mark.parametrize("point", POINTS)
def test_the_product_has_every_named_step(point: str) -> None:
    module, _, step = point.partition(":")

    found: object = reduce(getattr, step.split("."), importlib.import_module(module))

    assert callable(found)


def test_a_process_without_an_order_lives(tmp_path: Path) -> None:
    watch = Watch(tmp_path, "web1")

    assert watch.is_due(STEP, "after") is None


def test_an_order_is_due_at_the_call_that_it_names(tmp_path: Path) -> None:
    give(tmp_path, "web1", order(call=3))
    watch = Watch(tmp_path, "web1")

    due = [watch.is_due(STEP, "after") for _ in range(4)]

    assert due == [None, None, order(call=3), None]
    assert has_fired(tmp_path, "web1", order(call=3))


def test_other_steps_and_the_other_side_of_a_step_do_not_count(tmp_path: Path) -> None:
    give(tmp_path, "web1", order())
    watch = Watch(tmp_path, "web1")

    assert watch.is_due("billing.wallet.journal:Journal.end", "after") is None
    assert watch.is_due(STEP, "before") is None
    assert not has_fired(tmp_path, "web1", order())


def test_an_order_is_for_one_death_however_many_read_it(tmp_path: Path) -> None:
    give(tmp_path, "worker", order(call=2))
    first, second = Watch(tmp_path, "worker"), Watch(tmp_path, "worker")
    assert (first.is_due(STEP, "after"), second.is_due(STEP, "after")) == (None, None)

    due = [first.is_due(STEP, "after"), second.is_due(STEP, "after")]

    assert due == [order(call=2), None]


def test_a_new_order_counts_from_the_beginning(tmp_path: Path) -> None:
    watch = Watch(tmp_path, "web1")
    give(tmp_path, "web1", order("w1", call=2))
    assert watch.is_due(STEP, "after") is None

    give(tmp_path, "web1", order("w2", call=2))

    assert watch.is_due(STEP, "after") is None
    assert watch.is_due(STEP, "after") == order("w2", call=2)


def test_an_order_that_was_withdrawn_kills_nobody(tmp_path: Path) -> None:
    watch = Watch(tmp_path, "web1")
    give(tmp_path, "web1", order(call=2))
    assert watch.is_due(STEP, "after") is None

    withdraw(tmp_path, "web1")

    assert watch.is_due(STEP, "after") is None


SCRIPT = """
from pathlib import Path
from billing.wallet.journal import Journal
from billing.wallet.usage import RequestFacts

journal = Journal.open(Path("journal"))
for number in (1, 2, 3):
    facts = RequestFacts(f"req_{number}", 1, 1, 1, "gpt-4", "chat.completions", False, 0)
    journal.start(facts, 10)
print("lived")
"""


def run_victim(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script above as a victim, in a session of its own as the launcher does."""
    (folder / "scribe.py").write_text(SCRIPT)
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "bench.chaos.victim", "web1", "scribe"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "CHAOS_ORDERS": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )


def test_a_victim_dies_right_behind_the_step_that_it_was_told(tmp_path: Path) -> None:
    give(tmp_path, "web1", order(call=2))

    ended = run_victim(tmp_path)

    assert ended.returncode == -signal.SIGKILL
    [journal] = (tmp_path / "journal").iterdir()
    assert journal.read_bytes().count(b"req_") == 2


def test_a_victim_without_an_order_runs_to_its_end(tmp_path: Path) -> None:
    ended = run_victim(tmp_path)

    assert (ended.returncode, ended.stdout) == (0, "lived\n")
