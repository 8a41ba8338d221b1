"""PostgreSQL from the event loop, and what becomes of a request when it is away."""

import asyncio
import threading

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection

from proxy.api.error_table import to_api_error
from proxy.database import in_database, with_stripe


def read_session() -> int:
    """Return PostgreSQL's number for the connection that this thread was given."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
    return pid


def end_session(pid: int) -> None:
    """Close a connection from PostgreSQL's side, as its restart would."""
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    ) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)


@pytest.mark.django_db(transaction=True)
async def test_it_uses_no_connection_that_postgresql_has_closed() -> None:
    before = await in_database(read_session)
    await asyncio.to_thread(end_session, before)

    after = await in_database(read_session)

    assert after != before


@pytest.mark.django_db(transaction=True)
async def test_keys_are_read_while_everything_waits_for_stripe() -> None:
    stripe_answers = threading.Event()
    waiting = [asyncio.create_task(with_stripe(stripe_answers.wait, 10)) for _ in range(20)]
    await asyncio.sleep(0)

    try:
        async with asyncio.timeout(5):
            assert await in_database(read_session) > 0
    finally:
        stripe_answers.set()

    assert await asyncio.gather(*waiting) == [True] * 20


@pytest.mark.parametrize("lost", [OperationalError, InterfaceError])
def test_a_request_that_postgresql_failed_may_be_tried_again(lost: type[Exception]) -> None:
    told = to_api_error(lost("server closed the connection unexpectedly"))

    assert (told.status, told.code) == (503, "service_unavailable")
    assert told.headers["Retry-After"] == "1"
    assert "connection" not in told.message
