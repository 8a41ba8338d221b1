"""A rebuild waits for those who are half-way, whoever dies, and behind a pooler, too."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from billing.audit.books import audit
from billing.exceptions import WalletRecovering
from billing.models import Wallet
from billing.upkeep.recovery import recover
from billing.wallet import keys, rebuild_barrier
from billing.wallet.rebuild_barrier import (
    BARRIER,
    REBUILDER,
    no_rebuild_meanwhile,
    only_rebuilder,
    rebuild_snapshot,
)
from tests.billing.wallet.faults import RedisFaults
from tests.billing.wallet.locks import count_locks, end_holders
from tests.billing.wallet.pooler import Pooler
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)

ALL = list(range(keys.SHARDS))


@pytest.fixture
def pooler(till: Till, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pooler]:
    """All connections to PostgreSQL are a pooler's, which lends sessions by the transaction."""
    settings = connection.settings_dict
    conninfo = {
        "host": settings["HOST"],
        "port": settings["PORT"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "dbname": settings["NAME"],
    }
    with closing(Pooler(conninfo, sessions=5)) as pooler, monkeypatch.context() as patched:
        forget_connections()
        patched.setitem(settings, "PORT", pooler.port)
        yield pooler
        forget_connections()


def forget_connections() -> None:
    ours: Any = connections["default"]
    ours.close()
    ours.close_pool()


def session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return int(pid)


def test_two_statements_reach_two_sessions_of_a_pooler(pooler: Pooler) -> None:
    assert session() != session()


def test_a_redis_that_is_lost_again_and_again_heals_behind_a_pooler(
    till: Till, faults: RedisFaults, pooler: Pooler
) -> None:
    till.grant(1_000)

    for request_id in ("r1", "r2", "r3"):
        faults.flush()
        assert recover(grace_s=0) == ALL
        assert count_locks() == 0
        till.place(request_id, 100)
        till.settle(request_id, 10)
        till.drain()

    assert till.posted() == 1_000 - 3 * 10
    assert audit(at_rest=True) == []


def test_one_alone_rebuilds_behind_a_pooler(
    till: Till, faults: RedisFaults, pooler: Pooler
) -> None:
    faults.flush()

    with only_rebuilder() as is_mine:
        by_another = in_a_thread(lambda: recover(grace_s=0))

    assert (is_mine, by_another) == (True, [])
    assert recover(grace_s=0) == ALL


def test_rows_that_are_read_one_by_one_are_read_behind_a_pooler(till: Till, pooler: Pooler) -> None:
    assert list(Wallet.objects.iterator()) == [till.wallet]


@contextmanager
def somebody_half_way() -> Iterator["Future[None]"]:
    """Have another thread hold the barrier. What became of it is known once this has ended."""
    is_half_way, may_end = threading.Event(), threading.Event()

    def be_half_way() -> None:
        with no_rebuild_meanwhile():
            is_half_way.set()
            may_end.wait()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(in_a_thread, be_half_way)
        is_half_way.wait()
        try:
            yield other
        finally:
            may_end.set()


def test_a_rebuild_that_waits_too_long_says_so_and_is_made_later(
    till: Till, faults: RedisFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    till.grant(1_000)
    faults.flush()

    with somebody_half_way(), monkeypatch.context() as impatient:
        impatient.setattr(rebuild_barrier, "PATIENCE_S", 3)
        with pytest.raises(WalletRecovering, match="half-way for 3 s"):
            recover(grace_s=0)
        left = count_locks()

    assert left == 1
    assert recover(grace_s=0) == ALL
    assert till.posted() == till.balance().available_credits == 1_000


def test_whoever_dies_half_way_keeps_no_rebuild_waiting(till: Till, faults: RedisFaults) -> None:
    faults.flush()

    with somebody_half_way() as other:
        end_holders(BARRIER)
        rebuilt = recover(grace_s=0)

    assert rebuilt == ALL
    with pytest.raises(OperationalError):
        other.result()


def test_a_rebuilder_that_died_is_followed_by_another(till: Till, faults: RedisFaults) -> None:
    faults.flush()

    with only_rebuilder() as is_mine:
        end_holders(REBUILDER)
        by_another = in_a_thread(lambda: recover(grace_s=0))

    assert (is_mine, by_another) == (True, ALL)


def test_there_is_no_snapshot_once_the_barrier_was_lost(till: Till) -> None:
    def lose_it(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        if sql == "SELECT 1":
            in_a_thread(lambda: end_holders(BARRIER))
        return execute(sql, params, many, context)

    with (
        connection.execute_wrapper(lose_it),
        pytest.raises(OperationalError),
        rebuild_snapshot(),
    ):
        pytest.fail("It has begun.")


@pytest.mark.usefixtures("unchecked_books")
def test_a_snapshot_knows_what_was_booked_by_those_it_waited_for(till: Till) -> None:
    till.grant(1_000)
    is_half_way = threading.Event()

    def book_late() -> None:
        with no_rebuild_meanwhile():
            is_half_way.set()
            while count_locks(granted=False) == 0:
                pass
            Wallet.objects.update(posted_credits=900)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(in_a_thread, book_late)
        is_half_way.wait()
        with rebuild_snapshot():
            other.result()
            in_a_thread(lambda: Wallet.objects.update(posted_credits=800))
            seen = Wallet.objects.get().posted_credits

    assert seen == 900
