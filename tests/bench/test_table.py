"""What the table of gateways is made of: prompts, processor time, options, its report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import machine
from bench.machine import Calibration, Moment, TooBusy, check_drift, check_quiet, tree_cpu_s
from bench.table import prompts
from bench.table.__main__ import Unknown, read_options
from bench.table.gateways import GATEWAYS
from bench.table.measuring import Measured
from bench.table.report import Results
from bench.table.rows import FIGURES, RUNS

# A child that burns half a second of processor time and ends; its parent waits for it, then rests.
BURN = "import time\nwhile time.process_time() < 0.5: pass"
PARENT = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BURN!r}], check=True)
print("burnt", flush=True)
time.sleep(60)
"""
STEADY = Calibration(10e6, 20e3, 0.1)


def test_the_agents_prompt_is_what_the_table_says() -> None:
    body = prompts.agent(prompts.PLAIN_MODEL, 100_000)

    assert len(body["tools"]) == 12
    assert len(body["messages"]) == 42
    assert len(json.dumps(body)) == pytest.approx(100_000, rel=0.05)


@pytest.mark.parametrize("size", [1_000, 20_000])
def test_a_chat_has_its_size(size: int) -> None:
    body = prompts.chat(prompts.PLAIN_MODEL, size)

    assert len(json.dumps(body)) == pytest.approx(size, rel=0.05)


@pytest.mark.parametrize("run", RUNS)
def test_no_message_is_sent_twice(run: str) -> None:
    messages = RUNS[run].body()["messages"]

    assert all(prompts.NUMBER in message["content"] for message in messages)


def test_a_request_says_how_long_it_is() -> None:
    request = prompts.as_http(prompts.chat(prompts.PLAIN_MODEL, 1_000), {"X-Key": "k"})

    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"X-Key: k" in head


def test_processor_time_includes_children_that_have_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        try:
            spent_s = tree_cpu_s(parent.pid)
        finally:
            parent.send_signal(signal.SIGKILL)

    # The kernel counts in hundredths, and each of the two processes may lack one.
    assert spent_s >= 0.48


def test_a_process_that_has_ended_has_spent_nothing_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()

    assert tree_cpu_s(child.pid) == 0


def test_what_others_take_is_the_machines_work_without_ours() -> None:
    before = Moment(clock_s=10, machine_s=100, ours_s=50)
    cores = os.cpu_count() or 1

    after = Moment(clock_s=20, machine_s=100 + 4 + 3, ours_s=50 + 4)

    assert after.others_since(before) == pytest.approx(3 / 10 / cores)


def test_a_busy_machine_is_refused_unless_one_insists() -> None:
    with pytest.raises(TooBusy, match="before anything was measured"):
        check_quiet(is_lenient=False, most=-1.0)

    assert check_quiet(is_lenient=True, most=-1.0) >= 0


def test_rounds_at_different_speeds_are_not_compared() -> None:
    check_drift([STEADY, Calibration(12e6, None, 0.1)])

    with pytest.raises(TooBusy, match=r"10\.0 to 20\.0 million"):
        check_drift([STEADY, Calibration(20e6, None, 0.1)])


def test_everything_is_measured_unless_asked_otherwise() -> None:
    options = read_options({})

    assert (options.rows, options.peers, options.rounds) == (list(RUNS), list(GATEWAYS), 3)


def test_a_quick_measurement_is_of_the_product_alone() -> None:
    options = read_options({"BENCH_QUICK": "1"})

    assert (options.peers, options.rounds) == (["product"], 1)


def test_rows_and_peers_can_be_chosen() -> None:
    options = read_options(
        {"BENCH_ROWS": "latency json-1k", "BENCH_PEERS": "product,nginx", "BENCH_ROUNDS": "5"}
    )

    assert options.rows == ["json-1k", "latency"]
    assert options.peers == ["nginx", "product"]
    assert options.rounds == 5


@pytest.mark.parametrize(
    "environ",
    [
        {"BENCH_ROWS": "json-2k"},
        {"BENCH_PEERS": "apache"},
        {"BENCH_ROUNDS": "0"},
        {"BENCH_ROUNDS": "three"},
        {"BENCH_QUICK": "yes"},
        {"BENCH_RECORD": "1", "BENCH_ANYWAY": "1"},
        {"BENCH_RECORD": "1", "BENCH_PEERS": "nginx"},
    ],
    ids=str,
)
def test_an_option_that_is_none_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(Unknown, match="BENCH_"):
        read_options(environ)


def results() -> Results:
    made = Results(
        titles={"nginx": "nginx 1.22", "product": "TokenProxy abc"},
        missing={"portkey": "npm failed"},
        machine="2 processors",
        made_of="C",
    )
    made.calibrations["json-1k"] = [STEADY, STEADY, STEADY]
    for cost in (0.9, 0.5, 0.7):
        made.note("json-1k", "product", Measured({"cpu_ms": cost}))
    made.failed["nginx"] = {"json-1k": "500"}
    return made


def test_the_table_has_medians_with_their_spread() -> None:
    assert "| failed | 0.700 (0.500–0.900) | 10.0M steps/s, 20.0k calls/s" in results().table()


def test_the_table_names_what_is_missing_and_what_failed() -> None:
    table = results().table()

    assert "* missing: portkey: npm failed" in table
    assert "* failed: nginx 1.22, json-1k: 500" in table


def test_a_row_that_was_not_measured_is_not_in_the_table() -> None:
    assert "slow streams" not in results().table()


def test_a_record_is_one_row_below_a_head_of_as_many_columns(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"

    results().record(path)
    results().record(path)

    rows = [line for line in path.read_text().splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows] == [len(FIGURES) + 4] * 4
    assert "| abc |" in rows[-1]
    assert "| **0.700** |" in rows[-1]


def test_every_figure_is_of_a_run() -> None:
    assert {figure.run for figure in FIGURES} == set(RUNS)


def test_the_loop_is_timed() -> None:
    started = time.perf_counter()

    speed = machine.time_loop()

    assert speed >= machine.LOOP_STEPS / (time.perf_counter() - started)
