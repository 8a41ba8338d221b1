from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.stripe.driver import Client, Emulator, Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def emulator(tmp_path: Path, endpoint: Endpoint) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path, endpoint.url)
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def client(emulator: Emulator) -> Client:
    return emulator.client
