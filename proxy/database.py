"""Read PostgreSQL from the event loop, in a few threads that give their connections back.

The hot path does not use them; a cache miss and the refresh of the catalogue do.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connections

P = ParamSpec("P")
R = TypeVar("R")

# Fewer than the connection pool has, so that a burst of unknown keys does not starve the pages.
THREADS = 4

STRIPE_THREADS = 2
# How long a request waits for PostgreSQL. A server that hangs keeps its thread, not the client.
PATIENCE_S = 1.8

_threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="proxy-db")
_stripe_threads = ThreadPoolExecutor(max_workers=STRIPE_THREADS, thread_name_prefix="proxy-stripe")


async def in_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that uses the database in a thread, and give its connection back."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, partial(_call, function, *args, **kwargs))


async def ask_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function as `in_database` does, for a client that waits.

    Raises OperationalError if PostgreSQL does not answer within PATIENCE_S.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await in_database(function, *args, **kwargs)
    except TimeoutError as error:
        raise OperationalError("PostgreSQL did not answer in time.") from error


async def with_stripe(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that also waits for Stripe, in threads of its own.

    A slow Stripe must not keep keys from being read. Calls beyond the two threads wait in a queue.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_stripe_threads, partial(_call, function, *args, **kwargs))


def _call(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return function(*args, **kwargs)
    finally:
        connections.close_all()
