"""PostgreSQL out of reach, for as long as a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from django.db import connection

from devstack.ports import free_port


def close_pool() -> None:
    # PostgreSQL's wrapper has it, the type of all wrappers has not.
    cast(Any, connection).close_pool()


@contextmanager
def database_away() -> Iterator[None]:
    """Let PostgreSQL be looked for where nothing listens."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(connection.settings_dict, "PORT", free_port())
            patch.setitem(connection.settings_dict["OPTIONS"]["pool"], "timeout", 0.2)
            close_pool()
            yield
    finally:
        # Also of a block that fails, else all later tests fail by a pool that leads nowhere.
        close_pool()
