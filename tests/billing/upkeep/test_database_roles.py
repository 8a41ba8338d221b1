"""What PostgreSQL refuses the role that serves, and what that role can do all the same."""

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Identifier
from pytest_django import Settings

from accounts.models import User
from billing.models import StripeEvent
from billing.upkeep.database_roles import RIGHTS, make_serving_role
from billing.upkeep.retention import delete_old
from tests import desk
from tests.conftest import signed_in

# Roles are of the whole server, which several processes test at.
SERVING = f"serving_{os.getpid()}"


@pytest.fixture
def url(db: None) -> str:
    """The address of a role that serves. It is gone with the test's transaction."""
    server = connection.settings_dict
    password = secrets.token_hex(8)
    return f"postgres://{SERVING}:{password}@{server['HOST']}:{server['PORT']}/{server['NAME']}"


@pytest.fixture
def serving(url: str) -> Iterator[None]:
    """Let the statements of the test be those of the role that serves."""
    alice = desk.make_customer("alice@example.com")
    signed_in(User.objects.create_superuser("root@example.com")).post(
        desk.do_url("freeze", alice.wallet), {"reason": "Odd calls"}
    )
    desk.make_event()
    make_serving_role(url)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(SQL("SET ROLE {}").format(Identifier(SERVING)))
        yield
        cursor.execute("RESET ROLE")


EVERY_TABLE = sorted(model._meta.db_table for model in apps.get_models(include_auto_created=True))
OURS = [name for name in EVERY_TABLE if name.startswith(("accounts_", "billing_", "proxy_"))]


def refuses(statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        try:
            cursor.execute(statement)
        except DatabaseError as error:
            return isinstance(error.__cause__, InsufficientPrivilege)
        else:
            return False
        finally:
            cursor.execute("ROLLBACK TO SAVEPOINT before")


def test_every_table_that_is_named_exists(db: None) -> None:
    assert set(RIGHTS) - {"django_migrations"} <= set(OURS)


def test_it_owns_nothing(serving: None) -> None:
    allowed = [
        statement
        for table in OURS
        for statement in (
            f"TRUNCATE {table} CASCADE",
            f"ALTER TABLE {table} ADD COLUMN mine int",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TABLE {table} CASCADE",
            f"CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION pg_sleep(0)",
        )
        if not refuses(statement)
    ]

    assert allowed == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_ledgerentry SET amount_credits = 5",
        "DELETE FROM billing_ledgerentry",
        "UPDATE billing_modelprice SET version = 9",
        "DELETE FROM billing_usagerecord",
        "UPDATE accounts_auditline SET deed = 'x'",
        "DELETE FROM accounts_auditline",
        "UPDATE accounts_teamevent SET subject = 'x'",
        "DELETE FROM billing_refund",
        "DELETE FROM billing_stripeevent",
        "DELETE FROM billing_wallet",
        "DELETE FROM billing_lot",
        "DELETE FROM billing_order",
        "DELETE FROM billing_approval",
        "DELETE FROM django_migrations",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (x int)",
        "CREATE ROLE mine SUPERUSER",
        "ALTER ROLE CURRENT_USER CREATEROLE",
        "CREATE OR REPLACE FUNCTION billing_forbid_change() RETURNS trigger LANGUAGE sql AS ''",
        "DROP FUNCTION billing_forbid_change() CASCADE",
    ],
)
def test_it_is_refused(statement: str, serving: None) -> None:
    assert refuses(statement)


def test_a_receipt_is_only_raised(serving: None) -> None:
    lowers = "UPDATE billing_usagerecord SET charged_credits = 0, target_credits = 0"

    with pytest.raises(DatabaseError, match="can only be raised"), transaction.atomic():
        connection.cursor().execute(lowers)


def test_it_reads_and_adds(serving: None) -> None:
    with connection.cursor() as cursor:
        for table in OURS:
            cursor.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table)))
        cursor.execute("UPDATE billing_wallet SET version = version + 1")
        cursor.execute("UPDATE billing_usagerecord SET charged_credits = charged_credits + 0")


def test_old_events_are_forgotten_by_it_and_young_ones_by_nobody(
    serving: None, settings: Settings
) -> None:
    young = StripeEvent.objects.get()
    day = timedelta(days=1)
    StripeEvent.objects.filter(pk=young.pk).update(processed_at=timezone.now())
    for name, age in (("evt_old", 100 * day), ("evt_month", 31 * day)):
        desk.make_event(name, processed_at=timezone.now(), received_at=timezone.now() - age)
    waiting = desk.make_event("evt_waits", received_at=timezone.now() - 100 * day)

    pruned = delete_old()
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_forget_events(%s)", [[young.pk, waiting.pk]])
        forced = cursor.fetchone()

    assert (pruned, forced) == (1, (0,))
    assert set(StripeEvent.objects.values_list("event_id", flat=True)) == {
        *("evt_1", "evt_month", "evt_waits")
    }


def test_the_role_is_made_once(url: str) -> None:
    assert [make_serving_role(url), make_serving_role(url)] == [True, False]


def test_the_command_needs_two_roles(db: None, settings: Settings) -> None:
    owner = connection.settings_dict["USER"]
    settings.DATABASE_SERVING_URL = f"postgres://{owner}:x@127.0.0.1/x"

    with pytest.raises(CommandError, match="both owns the tables and serves"):
        call_command("make_database_roles", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_the_command_makes_a_role_that_logs_in(settings: Settings) -> None:
    server = connection.settings_dict
    name = f"serving_{secrets.token_hex(4)}"
    settings.DATABASE_SERVING_URL = (
        f"postgres://{name}:pass-word@{server['HOST']}:{server['PORT']}/{server['NAME']}"
    )

    try:
        call_command("make_database_roles", verbosity=0)

        with psycopg.connect(settings.DATABASE_SERVING_URL) as there:
            assert there.execute("SELECT current_user").fetchone() == (name,)
            with pytest.raises(InsufficientPrivilege):
                there.execute("TRUNCATE billing_ledgerentry CASCADE")
    finally:
        role = Identifier(urlsplit(settings.DATABASE_SERVING_URL).username or "")
        with connection.cursor() as cursor:
            cursor.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))
