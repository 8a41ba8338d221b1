"""A till on Alice's wallet, and what surrounds it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import User
from billing.wallet.journal import Journal
from devstack.valkey import Valkey
from tests.billing.wallet.faults import RedisFaults
from tests.stripe_sandbox import Sandbox, start_sandbox
from tests.till import Till


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
    with start_sandbox(tmp_path_factory.mktemp("stripe")) as sandbox:
        yield sandbox
