"""What every test may use: people, open wallets, and a clean Redis."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test import Client, TransactionTestCase
from django.test.utils import override_settings
from hypothesis import settings as hypothesis_settings
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composed, Identifier
from pytest_django import DjangoDbBlocker

from accounts.models import User
from accounts.reauthentication import SIGNED_IN_AT
from billing.ledger.agreement import switch_check
from billing.ledger.wallets import wallet_of
from billing.wallet import keys
from billing.wallet.commands import restoring
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from common.log_lines import STDERR
from common.request_lines import get_request_log
from devstack.pytest_plugin import TEMPLATE_VARIABLE
from tests.log_lines import Lines

# Examples are timed by the clock, and a busy machine is no defect of ours.
hypothesis_settings.register_profile("house", deadline=None)
hypothesis_settings.load_profile("house")


# What surrounds the product and does not change with it: `make test-slow` tests it.
SURROUNDINGS = [Path(__file__).parent / name for name in ("sandbox", "devstack")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the emulators and of the launcher as slow, and begin with the longest."""
    for item in items:
        if any(folder in item.path.parents for folder in SURROUNDINGS):
            item.add_marker(pytest.mark.slow)
    # Left to chance, the others could all be waiting for it in the end.
    items.sort(key=lambda item: item.path.name != "test_machine.py")


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Passwords are hashed to be slow to guess; a test's need not be."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def staff_without_second_factor() -> Iterator[None]:
    """The desk's tests are about the desk; those of the second step require it."""
    with override_settings(STAFF_SECOND_FACTOR=False):
        yield


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest,
    django_db_blocker: DjangoDbBlocker,
    django_db_modify_db_settings: None,
) -> None:
    """Copy the database with all tables, which saves 3 s of migrating in each process.

    In a PostgreSQL that was given, Django makes the test database as ever.
    """
    template = os.environ.get(TEMPLATE_VARIABLE)
    if not template:
        request.getfixturevalue("django_db_setup")
        return
    with django_db_blocker.unblock():
        copy_database(template)


def copy_database(template: str) -> None:
    """Let Django use a copy. It is gone with the server, which takes less than dropping it."""
    settings = connection.settings_dict
    name = settings["TEST"]["NAME"] or f"test_{settings['NAME']}"
    creation = SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True) as server:
        server.execute(creation)
    connection.close()
    settings["NAME"] = name


# Filled by the migrations and never changed by a test.
KEPT_TABLES = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
}


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """Empty the tables after a test that commits in 2 ms.

    Django truncates them all and makes its permissions anew, which takes longer than most tests.
    """
    with mock.patch.object(TransactionTestCase, "_fixture_teardown", empty_tables):
        yield


def empty_tables(case: TransactionTestCase) -> None:
    # A test that failed within a statement must not let all others fail.
    if (
        connection.connection
        and connection.connection.pgconn.transaction_status != TransactionStatus.IDLE
    ):
        connection.close()
    with transaction.atomic(), connection.cursor() as cursor:
        # A test may empty what the product may only add to, and in any order.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(deletions())


@cache
def deletions() -> Composed:
    """Return the statements that empty every table, to be sent at once."""
    tables = set(connection.introspection.table_names()) - KEPT_TABLES
    emptied = (SQL("DELETE FROM {}").format(Identifier(table)) for table in sorted(tables))
    return SQL("; ").join(emptied)


@pytest.fixture
def unchecked_books(db: None) -> Iterator[None]:
    """Let a test write books that don't agree, as only the owner of the tables can."""
    switch_check(on=False)
    yield
    switch_check(on=True)


def open_fences(client: SyncWalletClient) -> None:
    """Open every shard as it is, as if it had just been rebuilt."""
    shards, epoch = range(keys.SHARDS), uuid.uuid4().hex
    client.ask_many([restoring.begin(shard, epoch=epoch) for shard in shards])
    for node in client.nodes:
        for name in node.redis.scan_iter(match="{*}:wallet:*"):
            node.redis.hset(name, "e", epoch)
    client.ask_many([restoring.open_fence(shard, epoch=epoch) for shard in shards])


@pytest.fixture
def redis_wallets(journal_dir: Path) -> Iterator[SyncWalletClient]:
    """An empty Redis whose fences are open, as a worker leaves it, and journals of its own.

    A rebuild would put back what another test's journal says is open.
    """
    client = get_sync_client()
    client.redis.flushall()
    client.load_library()
    open_fences(client)
    yield client
    client.redis.flushall()


@pytest.fixture
def journal_dir(settings: LazySettings, tmp_path: Path) -> Path:
    """An empty folder for journals, known to the settings."""
    settings.JOURNAL_DIR = tmp_path / "journal"
    return tmp_path / "journal"


@pytest.fixture
def request_lines(settings: LazySettings, capfd: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Give what the log has of the requests since it was last asked, as a machine reads it."""

    def read() -> list[dict[str, Any]]:
        STDERR.flush()
        written = capfd.readouterr().err.splitlines()
        return [json.loads(line) for line in written if '"event":"request"' in line]

    settings.LOG_FORMAT, settings.LOG_LEVEL = "json", "INFO"
    get_request_log.cache_clear()
    yield read
    STDERR.flush()
    get_request_log.cache_clear()


def signed_in(user: User) -> Client:
    """Return the browser of somebody who signed in just now."""
    client = Client()
    client.force_login(user)
    session = client.session
    session[SIGNED_IN_AT] = time.time()
    session.save()
    return client


def person(name: str) -> User:
    user = User.objects.create_user(f"{name}@example.com", "correct horse battery")
    wallet_of(user)
    return user


@pytest.fixture
def alice(db: None, redis_wallets: SyncWalletClient) -> User:
    """A customer."""
    return person("alice")


@pytest.fixture
def bob(db: None, redis_wallets: SyncWalletClient) -> User:
    """Another customer, who must see nothing of Alice's."""
    return person("bob")
