"""Deaths: exceptions that nothing catches, at any statement and around any call to Stripe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import stripe
from django.db import connection


class Death(BaseException):
    """The process ends here: nothing that catches exceptions sees it."""


def die() -> None:
    raise Death


class Reaper:
    """Counts what a process does, and ends it at one of these steps."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0

    def tick(self) -> None:
        self.steps += 1
        if self.steps == self.step:
            die()

    def around_statement(self, execute: Callable[..., Any], *args: Any) -> Any:
        self.tick()
        return execute(*args)


def dies(act: Callable[[], object], step: int) -> bool:
    """Do something, and die before the n-th statement, or before or after a call to Stripe.

    False if there are not so many.
    """
    try:
        with _dying_at(step):
            act()
    except Death:
        return True
    return False


def dies_at_statement(act: Callable[[], object], number: int) -> bool:
    """Do something, and die before the n-th statement; its session is gone with the process.

    False if there are not so many.
    """
    reaper = Reaper(number)
    try:
        with connection.execute_wrapper(reaper.around_statement):
            act()
    except Death:
        connection.close()
        return True
    return False


@contextmanager
def _dying_at(step: int) -> Iterator[None]:
    reaper = Reaper(step)
    request = stripe.RequestsClient.request

    def call(self: stripe.RequestsClient, *args: Any, **kwargs: Any) -> Any:
        reaper.tick()
        answer = request(self, *args, **kwargs)
        reaper.tick()
        return answer

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(reaper.around_statement):
        # The SDK's transport, where a process that dies loses its call or its answer.
        patch.setattr(stripe.RequestsClient, "request", call)
        yield
