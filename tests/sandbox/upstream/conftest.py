from collections.abc import Iterator

import pytest

from tests.sandbox.upstream.emulator import Emulator, running


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: Emulator) -> Emulator:
    """An emulator that has served nothing yet."""
    emulator_process.client.post("/control/reset").raise_for_status()
    return emulator_process
