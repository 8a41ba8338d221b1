"""Run what is synchronous beside an event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

R = TypeVar("R")


async def in_thread(function: Callable[..., R], *args: object) -> R:
    """Run what is synchronous, and leave no database connection behind."""

    def run() -> R:
        try:
            return function(*args)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)
