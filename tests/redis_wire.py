"""What comes between a process and Redis: another's deed right before a command, or a death.

It happens where redis-py writes to its socket, so the code under test is as it is.
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from redis.connection import AbstractConnection

from billing.upkeep.recovery import WRITER
from tests.deaths import Death


@contextmanager
def before_command(text: str, act: Callable[[], object], *, nth: int = 1) -> Iterator[None]:
    """Do something once, right before this thread sends the nth packet with this text in it."""
    numbers = itertools.count(1)

    def count_up() -> None:
        if next(numbers) == nth:
            act()

    with before_commands(text, count_up):
        yield


@contextmanager
def before_commands(text: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something before each packet with this text that this thread sends, but for its own.

    The threads in which a rebuild writes count as this one, and die with it.
    """
    # Any: redis-py leaves it without types.
    send: Any = AbstractConnection.send_packed_command
    thread = threading.get_ident()
    is_acting = False
    death: BaseException | None = None

    def interrupt(
        connection: AbstractConnection, command: str | Iterable[bytes], check_health: bool = True
    ) -> None:
        nonlocal is_acting, death
        packet = command if isinstance(command, str) else list(command)
        is_mine = threading.get_ident() == thread or _is_writer()
        if is_mine and not is_acting:
            # Whoever connects meanwhile may log in, or the next test would find them half-way.
            if death is not None and _has(packet, "FCALL"):
                raise death
            if _has(packet, text):
                is_acting = True
                try:
                    act()
                except Death as error:
                    death = error
                    raise
                finally:
                    is_acting = False
        send(connection, packet, check_health)

    with mock.patch.object(AbstractConnection, "send_packed_command", interrupt):
        yield


def _has(packet: str | list[bytes], text: str) -> bool:
    return text in packet if isinstance(packet, str) else text.encode() in b"".join(packet)


def _is_writer() -> bool:
    return threading.current_thread().name.startswith(WRITER)
