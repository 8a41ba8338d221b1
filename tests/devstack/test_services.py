"""PostgreSQL and Valkey keep their data through crashes and have one owner at a time."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devstack.binaries import find_postgres
from devstack.pytest_plugin import SERVICES_HOME, kept_up
from devstack.services import IsLocked, LaunchError, Postgres, Valkey
from devstack.template import copy_template
from tests.devstack.conftest import Script, is_running
from tests.waiting import await_true

# Starts a service in the folder of its second argument, prints its process id, and waits.
OWNER = """
import signal, sys
from pathlib import Path
from devstack import services
service = getattr(services, sys.argv[1])(Path(sys.argv[2]))
service.start()
print(service.process.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ready-made cluster: initdb takes half a second each time."""
    copy_template(SERVICES_HOME, to=tmp_path / "postgres")
    return tmp_path / "postgres"


@pytest.fixture
def postgres(folder: Path) -> Iterator[Postgres]:
    with Postgres(folder) as server:
        yield server


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path / "valkey") as server:
        yield server


def write_note(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE note (body text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def read_note(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT body FROM note").fetchone()
    return row and row[0]


def setting(url: str, name: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    return row and row[0]


def client(valkey: Valkey) -> "redis.Redis":
    return redis.Redis.from_url(valkey.url, decode_responses=True)


def test_a_new_cluster_is_utf8_and_asks_for_a_password(tmp_path: Path) -> None:
    with Postgres(tmp_path / "new") as server:
        encoding = setting(server.url, "server_encoding")
        wrong = server.url.replace(":", ":wrong", 2).replace("postgresql:wrong", "postgresql:")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)

    assert encoding == "UTF8"


def test_postgres_listens_on_loopback_and_on_no_socket(postgres: Postgres) -> None:
    listens = setting(postgres.url, "listen_addresses")
    sockets = setting(postgres.url, "unix_socket_directories")

    assert (listens, sockets) == ("127.0.0.1", "")


def test_postgres_keeps_committed_data_through_a_kill(postgres: Postgres) -> None:
    write_note(postgres.url, "kept")
    url = postgres.url

    postgres.kill()
    postgres.start()

    assert read_note(url) == "kept"


def test_postgres_starts_over_a_lock_file_of_a_process_that_is_not_postgres(folder: Path) -> None:
    with Postgres(folder):
        pass
    (folder / "data" / "postmaster.pid").write_text("1\n")

    with Postgres(folder) as server:
        assert setting(server.url, "server_encoding") == "UTF8"


def test_a_second_owner_of_a_running_postgres_is_refused(postgres: Postgres) -> None:
    with pytest.raises(IsLocked, match="is held by process"):
        Postgres(postgres.folder).start()

    assert postgres.process.is_running


def test_a_second_owner_of_a_running_valkey_is_refused(valkey: Valkey) -> None:
    with pytest.raises(IsLocked, match="is held by process"):
        Valkey(valkey.folder).start()

    assert client(valkey).ping()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_postgres_dies_with_its_owner(
    script: Callable[..., Script], folder: Path, end: signal.Signals
) -> None:
    owner = script(OWNER, "Postgres", folder)
    server = int(owner.line())

    owner.popen.send_signal(end)

    await_true(lambda: not is_running(server), what="PostgreSQL to end")


def test_valkey_dies_with_its_owner(script: Callable[..., Script], tmp_path: Path) -> None:
    owner = script(OWNER, "Valkey", tmp_path / "valkey")
    server = int(owner.line())

    owner.popen.kill()

    await_true(lambda: not is_running(server), what="Valkey to end")


def test_a_postgres_whose_owner_is_gone_is_ended_and_its_data_kept(
    postgres: Postgres,
) -> None:
    write_note(postgres.url, "kept")
    orphan = postgres.process
    # What is left when an owner dies and its server does not.
    postgres._lock.release()

    with Postgres(postgres.folder) as successor:
        assert read_note(successor.url) == "kept"

    assert not orphan.is_running


def test_a_valkey_whose_owner_is_gone_is_ended_and_its_data_kept(valkey: Valkey) -> None:
    client(valkey).set("note", "kept")
    orphan = valkey.process
    valkey._lock.release()

    with Valkey(valkey.folder) as successor:
        assert client(successor).get("note") == "kept"

    assert not orphan.is_running


def test_valkey_keeps_its_data_and_url_through_a_kill(valkey: Valkey) -> None:
    client(valkey).set("note", "kept")
    url = valkey.url

    valkey.kill()
    valkey.start()

    assert client(valkey).get("note") == "kept"
    assert valkey.url == url


def test_a_server_that_a_failing_test_left_dead_is_started_again(valkey: Valkey) -> None:
    def fail() -> None:
        valkey.kill()
        raise AssertionError("the test fails here")

    with pytest.raises(AssertionError, match="fails here"), kept_up(valkey):
        fail()

    assert client(valkey).ping()


def test_valkey_never_evicts_and_writes_a_log(valkey: Valkey) -> None:
    settings = client(valkey).config_get("maxmemory-policy", "appendonly")

    assert settings == {"maxmemory-policy": "noeviction", "appendonly": "yes"}


def test_valkey_asks_for_a_password(valkey: Valkey) -> None:
    stranger = redis.Redis(port=valkey.port or 0, retry=Retry(NoBackoff(), 0))

    with pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_a_start_that_fails_says_why_and_holds_no_lock(postgres: Postgres, tmp_path: Path) -> None:
    shutil.copytree(postgres.folder / "data" / "base", tmp_path / "other" / "data" / "base")
    (tmp_path / "other" / "data" / "PG_VERSION").write_text("9.4\n")
    (tmp_path / "other" / "password").write_text("any\n")

    with pytest.raises(LaunchError, match="PostgreSQL did not start"):
        Postgres(tmp_path / "other").start()
    with pytest.raises(LaunchError, match="PostgreSQL did not start"):
        Postgres(tmp_path / "other").start()


def test_postgres_is_waited_for_as_long_as_it_recovers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovering = psycopg.OperationalError("FATAL:  the database system is starting up")
    # Longer, all together, than a server that says nothing is given.
    waits = iter([0.05] * 20)
    connect = psycopg.connect

    def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            connection = connect(*args, **kwargs)
        except psycopg.OperationalError:
            raise recovering from None
        if wait_s := next(waits, None):
            connection.close()
            time.sleep(wait_s)
            raise recovering
        return connection

    monkeypatch.setattr(psycopg, "connect", answer)
    monkeypatch.setattr("devstack.postgres.START_TIMEOUT_S", 0.5)
    monkeypatch.setattr("devstack.ready.SAID_AFTER_S", 0.5)
    said: list[str] = []
    with Postgres(folder, say=said.append):
        assert next(waits, None) is None
        assert said == ["It was ended in the middle of its work, and recovers …"]


def test_valkey_is_waited_for_as_long_as_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([0.05] * 20)
    ping = redis.Redis.ping

    def answer(client: Any) -> Any:
        try:
            ping(client)
        except redis.ConnectionError:
            raise redis.BusyLoadingError from None
        if wait_s := next(waits, None):
            time.sleep(wait_s)
            raise redis.BusyLoadingError
        return True

    monkeypatch.setattr(redis.Redis, "ping", answer)
    monkeypatch.setattr("devstack.valkey.START_TIMEOUT_S", 0.5)
    monkeypatch.setattr("devstack.ready.SAID_AFTER_S", 0.5)
    said: list[str] = []
    with Valkey(tmp_path / "valkey", say=said.append):
        assert next(waits, None) is None
        assert said == ["It reads what it kept …"]


def test_the_wheel_is_preferred_to_a_server_of_the_system() -> None:
    assert "pginstall18" in str(find_postgres(None))
