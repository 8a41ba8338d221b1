"""A migration may not stop a product that runs: squawk knows which locks its SQL would take."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

# The first release begins with the migrations up to these numbers, some of which are still free. It
# finds no rows; every later one meets a database in use, and processes of the release before it.
# When the set is squashed, these are the numbers of what is left.
FIRST_SET = {"accounts": 19, "billing": 29, "proxy": 9}
# Rules of taste; time-outs, which `deploy/run` gives a whole migration; and the end of a
# constraint, which locks for a moment, and which the one in its place can't do without.
EXCLUDED = (
    "ban-drop-constraint",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-text-field",
    "prefer-robust-stmts",
    "prefer-identity",
    "require-lock-timeout",
    "require-statement-timeout",
)
POSTGRESQL = "15.0"


def find_hazards(sql: str, folder: Path) -> list[str]:
    """Return the rules that some SQL breaks."""
    squawk = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    assert squawk is not None, "squawk is missing: make venv"
    path = folder / "migration.sql"
    path.write_text(sql)
    options = ["--reporter=gcc", f"--pg-version={POSTGRESQL}", f"--exclude={','.join(EXCLUDED)}"]
    done = subprocess.run(
        [squawk, *options, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    return [line.split()[2] for line in done.stdout.splitlines() if ": warning: " in line]


def later_migrations() -> dict[str, str]:
    """Return the SQL of each migration that meets a database in use, by its name."""
    loader = MigrationLoader(connection, replace_migrations=False)
    return {
        f"{app}.{name}": within_transaction(
            "\n".join(loader.collect_sql([(migration, False)])), is_atomic=migration.atomic
        )
        for (app, name), migration in sorted(loader.disk_migrations.items())
        if app in FIRST_SET and int(name[:4]) > FIRST_SET[app]
    }


def within_transaction(sql: str, *, is_atomic: bool = True) -> str:
    return f"BEGIN;\n{sql}\nCOMMIT;\n" if is_atomic else sql


@pytest.mark.django_db(transaction=True)
def test_no_migration_stops_a_product_that_runs(tmp_path: Path) -> None:
    hazards = {name: find_hazards(sql, tmp_path) for name, sql in later_migrations().items()}

    assert {name: found for name, found in hazards.items() if found} == {}


@pytest.mark.parametrize(
    ("sql", "hazard"),
    [
        ('CREATE INDEX "i" ON "t" ("c");', "require-concurrent-index-creation"),
        ('ALTER TABLE "t" ADD COLUMN "c" bigint NOT NULL;', "adding-required-field"),
        ('ALTER TABLE "t" ALTER COLUMN "c" SET NOT NULL;', "adding-not-nullable-field"),
        ('ALTER TABLE "t" ADD CONSTRAINT "k" CHECK ("c" > 0);', "constraint-missing-not-valid"),
        ('ALTER TABLE "t" RENAME COLUMN "c" TO "d";', "renaming-column"),
        ('ALTER TABLE "t" DROP COLUMN "c";', "ban-drop-column"),
        ('ALTER TABLE "t" ALTER COLUMN "c" TYPE text;', "changing-column-type"),
    ],
)
def test_what_stops_a_product_is_found(sql: str, hazard: str, tmp_path: Path) -> None:
    assert find_hazards(sql, tmp_path) == [hazard]


@pytest.mark.parametrize(
    "sql",
    [
        within_transaction('CREATE TABLE "t" ("id" bigint); CREATE INDEX "i" ON "t" ("id");'),
        'ALTER TABLE "t" ADD COLUMN "c" bigint NULL;',
        'ALTER TABLE "t" ADD COLUMN "c" bigint DEFAULT 0 NOT NULL;',
        'CREATE INDEX CONCURRENTLY "i" ON "t" ("c");',
        'ALTER TABLE "t" ADD CONSTRAINT "k" CHECK ("c" > 0) NOT VALID;',
    ],
)
def test_what_stops_nobody_is_not(sql: str, tmp_path: Path) -> None:
    assert find_hazards(sql, tmp_path) == []
