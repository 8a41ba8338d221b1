"""A ready-made PostgreSQL cluster for tests: a copy takes a fraction of initdb's time.

Its database has the product's tables already. Migrating costs three seconds of processor time; in
every process of every test run, that was the most expensive thing after the tests themselves.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from devstack.binaries import find_postgres, postgres_version
from devstack.environment import ROOT, child_environment, local_settings
from devstack.errors import LaunchError
from devstack.locks import FileLock
from devstack.plan import manage
from devstack.postgres import Postgres, server_user

MIGRATE_TIMEOUT_S = 300.0


def copy_template(home: Path, *, to: Path) -> None:
    """Copy the cluster, which the first run with these migrations makes. Safe to run at once.

    Raises LaunchError if it can't be made.
    """
    user = server_user()
    version = postgres_version(find_postgres(user))
    whose = f"postgres-{version}-{'nobody' if user else 'self'}"
    template = home / f"{whose}-{schema_digest()}"
    lock = FileLock(home / "template.lock")
    lock.acquire(wait=True)
    try:
        if not template.exists():
            for older in home.glob(f"{whose}*"):
                shutil.rmtree(older, ignore_errors=True)
            make_template(template)
        # `cp -a` keeps the owner, which shutil does not.
        subprocess.run(["cp", "-a", template, to], check=True)  # noqa: S607 - in every system
    finally:
        lock.release()


def schema_digest() -> str:
    """Return a digest of what decides the tables: our migrations and those of packages."""
    files = [*sorted(ROOT.glob("*/migrations/**/*")), ROOT / "requirements.txt"]
    digest = hashlib.sha256()
    for path in files:
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def make_template(template: Path) -> None:
    making = template.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    with Postgres(making, durable=False) as postgres:
        migrate(postgres.url, folder=making)
    making.rename(template)


def migrate(database_url: str, *, folder: Path) -> None:
    settings = local_settings(database_url, journal=folder / "journal")
    done = subprocess.run(
        manage("migrate", "--noinput", "--verbosity", "0"),
        env=child_environment({**os.environ, **settings}, folder=folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MIGRATE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise LaunchError(f"migrate ended with {done.returncode}:\n{done.stdout}{done.stderr}")
