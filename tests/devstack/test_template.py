"""The cluster that every test run starts from."""

from pathlib import Path

import psycopg
import pytest

from devstack import template
from devstack.postgres import Postgres
from devstack.pytest_plugin import SERVICES_HOME


def test_a_copy_has_the_products_tables(tmp_path: Path) -> None:
    template.copy_template(SERVICES_HOME, to=tmp_path / "postgres")

    with (
        Postgres(tmp_path / "postgres", durable=False) as postgres,
        psycopg.connect(postgres.url) as connection,
    ):
        row = connection.execute("SELECT to_regclass('billing_ledgerentry') IS NOT NULL").fetchone()

    assert row == (True,)


def test_another_migration_means_another_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = tmp_path / "billing" / "migrations"
    migrations.mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("django==5.2.19\n")
    (migrations / "0001_initial.py").write_text("first\n")
    monkeypatch.setattr(template, "ROOT", tmp_path)
    before = template.schema_digest()

    (migrations / "0002_second.sql").write_text("second\n")
    with_a_file = template.schema_digest()
    (migrations / "0001_initial.py").write_text("changed\n")
    changed = template.schema_digest()

    assert len({before, with_a_file, changed}) == 3
