"""A till on Alice's wallet, and what surrounds it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import User
from billing.wallet.journal import Journal
from devstack.ports import free_port
from devstack.process import Process
from devstack.valkey import Valkey
from tests.billing.payments.sandbox import API_KEY, WEBHOOK_SECRET, Sandbox
from tests.billing.wallet.faults import RedisFaults
from tests.billing.wallet.shop import Till


@pytest.fixture
def till(alice: User, journal_dir: Path) -> Till:
    """Alice's wallet, a key and a price of one credit per token."""
    return Till(alice)


@pytest.fixture
def journal(journal_dir: Path) -> Iterator[Journal]:
    """The journal of a web process that lives."""
    opened = Journal.open(journal_dir)
    yield opened
    opened.close()


@pytest.fixture
def faults(valkey_server: Valkey, tmp_path: Path) -> RedisFaults:
    """Ways to break Redis."""
    return RedisFaults(valkey_server, tmp_path / "backup")


@pytest.fixture(scope="session")
def stripe_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One emulator for the whole run; whoever uses it empties it first."""
    data_dir = tmp_path_factory.mktemp("stripe")
    port = free_port()
    argv = [sys.executable, "-m", "sandbox.stripe", "--port", str(port)]
    argv += ["--data-dir", str(data_dir)]
    argv += ["--api-key", API_KEY, "--webhook-secret", WEBHOOK_SECRET]
    argv += ["--webhook-url", "http://127.0.0.1:9/nobody"]
    process = Process("stripe", argv, output=data_dir / "log")
    process.start()
    sandbox = Sandbox(f"http://127.0.0.1:{port}", data_dir)
    try:
        sandbox.wait_until_ready()
        yield sandbox
    finally:
        sandbox.close()
        process.stop()
