"""A database of the migrations that one set has replaced is taken over whole, or refused."""

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from tokenproxy_site.checks import LAST_REPLACED

pytestmark = pytest.mark.django_db


def refused() -> list[str]:
    found = run_checks(databases=["default"])
    return [str(error.msg) for error in found if error.id == "tokenproxy_site.E001"]


def record(app: str, name: str) -> None:
    MigrationRecorder(connection).record_applied(app, name)


def test_a_database_that_began_with_this_set_is_in_order() -> None:
    assert refused() == []


def test_a_database_that_had_all_that_was_replaced_is_in_order() -> None:
    record("billing", "0009_returned_top_ups")
    for app, last in LAST_REPLACED.items():
        record(app, last)

    assert refused() == []


@pytest.mark.parametrize("app", LAST_REPLACED)
def test_a_database_that_had_only_some_of_it_is_not_migrated(app: str) -> None:
    record(app, "0002_something_that_is_gone")

    (words,) = refused()
    assert f"{app} lacks {LAST_REPLACED[app]}" in words
    with pytest.raises(SystemCheckError, match="git log -1 --diff-filter=D"):
        call_command("migrate", verbosity=0, skip_checks=False)
