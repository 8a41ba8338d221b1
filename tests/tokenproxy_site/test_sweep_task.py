"""A sweep that hangs keeps one thread of its worker, and not for ever."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenproxy_site.celery import app
from tokenproxy_site.metrics.sweeps import names_of_sweeps
from tokenproxy_site.sweep_task import SLOW_S, STUCK, Run, Runs

IS_OVER = threading.Event()
BEGAN = threading.Semaphore(0)


@app.task(name="tests.hang")
def hang() -> int:
    BEGAN.release()
    assert IS_OVER.wait(60)
    return 1


@app.task(name="tests.fail")
def fail() -> int:
    raise RuntimeError("boom")


def test_every_sweep_of_the_product_is_of_this_kind() -> None:
    app.loader.import_default_modules()

    sweeps = names_of_sweeps()

    assert [name for name in sweeps if not hasattr(app.tasks[name], "is_sweep")] == []


def test_a_sweep_that_hangs_keeps_one_thread_of_many() -> None:
    IS_OVER.clear()
    with ThreadPoolExecutor(5) as pool:
        hanging = pool.submit(hang)
        assert BEGAN.acquire(timeout=60)

        left_out = [pool.submit(hang) for _ in range(4)]
        done = [each.result(60) for each in left_out]

        IS_OVER.set()
        assert hanging.result(60) == 1
    assert done == [None] * 4
    # Its place is free again.
    assert hang() == 1


def test_one_that_failed_runs_again() -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="boom"):
            fail()


def test_the_log_says_once_where_a_slow_one_stands(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(limit_s=10 * SLOW_S, thread=threading.get_ident(), began_at=0)

    for age_s in (SLOW_S - 1, SLOW_S + 1, SLOW_S + 2):
        Runs()._look_at("billing.drain_events", run, age_s=age_s)

    (record,) = caplog.records
    assert "sweep_slow" in str(record.msg)
    assert "test_the_log_says_once" in str(record.msg)


# A worker's process, with a sweep that never ends.
STUCK_WORKER = """
import threading, django
django.setup()
from tokenproxy_site.celery import app

@app.task(name="tests.stuck", time_limit=0.1)
def never_ends():
    threading.Event().wait()

threading.Thread(target=never_ends).start()
"""


def test_a_worker_with_a_stuck_sweep_ends_itself() -> None:
    environ = os.environ | {"LOG_FORMAT": "json"}

    ended = subprocess.run(
        [sys.executable, "-c", STUCK_WORKER],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert ended.returncode == STUCK
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert (line["event"], line["level"], line["sweep"]) == (
        "sweep_stuck",
        "critical",
        "tests.stuck",
    )
    assert any("never_ends" in place for place in line["at"])
