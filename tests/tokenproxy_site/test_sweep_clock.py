"""A worker runs what is due every few seconds by its own clock, whatever its queue looks like."""

import threading
from collections import Counter
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from django.conf import settings

from billing.models import UsageRecord
from billing.wallet.sync_client import SyncWalletClient
from tests.till import Till
from tests.waiting import await_true
from tokenproxy_site.celery import app
from tokenproxy_site.sweep_clock import THREADS, SweepClock, make_clocks

IS_OVER = threading.Event()
HANGS = threading.Event()


@app.task(name="tests.keep_the_thread")
def keep_the_thread() -> int:
    HANGS.set()
    assert IS_OVER.wait(60)
    return 1


def test_each_runs_again_and_again_until_it_stops() -> None:
    runs: Counter[str] = Counter()
    clock = SweepClock({"often": 0.01, "seldom": 3_600}, lambda name: runs.update([name]))

    clock.start()
    await_true(lambda: runs["often"] > 3, what="four runs")
    clock.stop()
    at_its_end = runs.copy()

    assert at_its_end["seldom"] == 1
    assert threading.Event().wait(0.05) is False
    assert runs == at_its_end


def test_one_that_hangs_keeps_one_thread_and_runs_again_after_it() -> None:
    runs: Counter[str] = Counter()
    is_over = threading.Event()

    def run(name: str) -> None:
        runs[name] += 1
        if name == "hangs":
            assert is_over.wait(60)

    clock = SweepClock({"hangs": 0.01, "works": 0.01}, run)
    clock.start()
    try:
        await_true(lambda: runs["works"] > 20, what="the other to run on")
        while_it_hung = runs["hangs"]
        is_over.set()
        await_true(lambda: runs["hangs"] > 1, what="it to run again")
    finally:
        is_over.set()
        clock.stop()

    assert while_it_hung == 1


def test_one_that_fails_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    runs: Counter[str] = Counter()

    def run(name: str) -> None:
        runs[name] += 1
        raise RuntimeError("boom")

    clock = SweepClock({"fails": 0.01}, run)
    clock.start()
    await_true(lambda: runs["fails"] > 2, what="three runs")
    clock.stop()

    assert "sweep_not_run" in caplog.text


def test_a_worker_looks_for_lost_wallets_first() -> None:
    assert next(iter(settings.CLOCK_SWEEPS["books"])) == "billing.recover_wallets"


def test_what_books_runs_on_while_everybody_outside_hangs(settings: Any) -> None:
    runs: Counter[str] = Counter()
    is_over = threading.Event()
    books, outside = (settings.CLOCK_SWEEPS[which] for which in ("books", "outside"))
    settings.CLOCK_SWEEPS = {
        which: dict.fromkeys(sweeps, 0.01) for which, sweeps in settings.CLOCK_SWEEPS.items()
    }

    def run(name: str) -> None:
        runs[name] += 1
        if name in outside:
            assert is_over.wait(60)

    clocks = make_clocks(run)
    for clock in clocks:
        clock.start()
    try:
        await_true(lambda: sum(runs[name] for name in outside) >= THREADS, what="all to hang")
        seen = runs.copy()
        await_true(lambda: all(runs[name] > seen[name] for name in books), what="the others")
    finally:
        is_over.set()
        for clock in clocks:
            clock.stop()


@pytest.mark.django_db(transaction=True)
def test_a_worker_books_whatever_waits_in_its_queue(
    redis_wallets: SyncWalletClient, till: Till
) -> None:
    app.loader.import_default_modules()
    till.grant(1_000)
    till.place("r1", 300)
    till.settle("r1", 120)
    IS_OVER.clear()
    for _ in range(5):
        keep_the_thread.delay()

    with start_worker(
        app, pool="threads", concurrency=1, perform_ping_check=False, shutdown_timeout=60
    ):
        try:
            assert HANGS.wait(60)
            await_true(UsageRecord.objects.exists, what="the receipt")
        finally:
            IS_OVER.set()
            app.control.purge()

    assert till.posted() == 880
