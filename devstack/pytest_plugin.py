"""Give a pytest run the services and settings that it needs, before Django reads its settings.

Loaded with `-p devstack.pytest_plugin`. Unless DATABASE_URL is set, one throw-away PostgreSQL
serves the whole run: pytest-xdist's controller starts it and its workers inherit the URL. Valkey
is one server per process, because a function library belongs to a whole server; only a run in a
single process uses the REDIS_URL that it was given. Everything dies with the process that started
it, and the next run removes what a killed one left under `var/test/`.
"""

import base64
import gc
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.environment import LOCAL, ROOT, closed, product_settings
from devstack.locks import FileLock, IsLocked
from devstack.postgres import DATABASE, Postgres
from devstack.template import copy_template
from devstack.valkey import Valkey

SERVICES_HOME = ROOT / "var" / "test"
# An address on which nothing listens.
NO_REDIS = "redis://127.0.0.1:1/0"
# Tells xdist's workers where the run's folder is.
FOLDER_VARIABLE = "DEVSTACK_TEST_FOLDER"
# The database with all tables, of which each process makes a copy; unset if PostgreSQL is theirs.
TEMPLATE_VARIABLE = "DEVSTACK_TEMPLATE"


@dataclass
class Services:
    """What this process started, and must stop."""

    folder: Path
    lock: FileLock | None = None
    postgres: Postgres | None = None
    valkey: Valkey | None = None

    def stop(self) -> None:
        for service in (self.valkey, self.postgres):
            if service is not None:
                service.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock is not None:
            self.lock.path.unlink(missing_ok=True)
            self.lock.release()


SERVICES = pytest.StashKey[Services]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Run before pytest-django, which imports the settings in the same hook."""
    # Looking for garbage among what is imported takes a quarter of the imports' time.
    gc.disable()
    if wants_services(early_config):
        services = open_folder(SERVICES_HOME)
        early_config.stash[SERVICES] = services
        early_config.add_cleanup(services.stop)
        start_services(services, early_config)
        set_defaults(services.folder)
    return (yield)


def pytest_collection_finish() -> None:
    """Collect garbage again, but exclude imported objects, which stay for good."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def valkey_server(pytestconfig: pytest.Config) -> Iterator[Valkey]:
    """Give this process' own Valkey, to kill and restart. It keeps its URL.

    However the test ends, the server runs again for the next one.
    """
    valkey = pytestconfig.stash[SERVICES].valkey
    if valkey is None:
        pytest.fail("REDIS_URL is set: unset it, faults are for the embedded Valkey alone")
    with kept_up(valkey):
        yield valkey


@contextmanager
def kept_up(valkey: Valkey) -> Iterator[None]:
    """Start the server again if the block left it dead."""
    try:
        yield
    finally:
        if not valkey.process.is_running:
            valkey.start()


def wants_services(config: pytest.Config) -> bool:
    options = config.known_args_namespace
    return not (options.help or options.version)


def is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def is_controller(config: pytest.Config) -> bool:
    """Whether this process only distributes the tests."""
    options = config.known_args_namespace
    has_workers = getattr(options, "numprocesses", None) or getattr(options, "tx", None)
    return bool(has_workers) and not is_worker()


def start_services(services: Services, config: pytest.Config) -> None:
    if not os.environ.get("DATABASE_URL"):
        services.postgres = start_postgres(services.folder, SERVICES_HOME)
        os.environ["DATABASE_URL"] = services.postgres.url
        os.environ[TEMPLATE_VARIABLE] = DATABASE
    if is_controller(config):
        # It runs no test, but reads the settings. Its workers replace this.
        os.environ["REDIS_URL"] = NO_REDIS
        return
    if os.environ.get("REDIS_URL") and not is_worker():
        return
    services.valkey = Valkey(services.folder / "valkey", durable=False)
    os.environ["REDIS_URL"] = services.valkey.start()
    os.environ["CELERY_BROKER_URL"] = services.valkey.broker_url


def open_folder(home: Path) -> Services:
    """Make this process a folder: a new run's, or a worker's inside its run's."""
    if is_worker() and FOLDER_VARIABLE in os.environ:
        folder = Path(os.environ[FOLDER_VARIABLE]) / os.environ["PYTEST_XDIST_WORKER"]
        folder.mkdir()
        return Services(folder)
    home.mkdir(parents=True, exist_ok=True)
    housekeeping = FileLock(home / "lock")
    housekeeping.acquire(wait=True)
    try:
        remove_leftovers(home)
        folder = home / f"run-{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir()
        lock = FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    finally:
        housekeeping.release()
    os.environ[FOLDER_VARIABLE] = str(folder)
    return Services(folder, lock=lock)


def remove_leftovers(home: Path) -> None:
    """Remove the folders of runs that were killed: those whose lock nobody holds."""
    for path in home.glob("run-*.lock"):
        lock = FileLock(path)
        try:
            lock.acquire()
        except IsLocked:
            continue
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        path.unlink()
        lock.release()


def start_postgres(folder: Path, home: Path) -> Postgres:
    """Start on a copy of a ready-made cluster: that takes a fraction of initdb's time."""
    copy_template(home, to=folder / "postgres")
    postgres = Postgres(folder / "postgres", durable=False)
    postgres.start()
    return postgres


def set_defaults(folder: Path) -> None:
    """Set the settings that the product can't start without, unless the user did."""
    journal = folder / "journal"
    journal.mkdir()
    defaults = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "STRIPE_SECRET_KEY": "sk_test_" + secrets.token_hex(12),
        "STRIPE_WEBHOOK_SECRET": "whsec_" + secrets.token_hex(16),
        "PROVIDER_KEYS_SECRET": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SITE_URL": "http://testserver",
        "ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
    }
    given = product_settings(os.environ)
    # Closed, so that the settings of a site in the same checkout don't reach the tests.
    os.environ.update(closed({**LOCAL, **defaults, **given}))
    # Every process has a journal of its own.
    os.environ["JOURNAL_DIR"] = str(journal)
