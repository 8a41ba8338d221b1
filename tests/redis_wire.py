"""What comes between a process and Redis: another's deed right before a command, or a death.

It happens where redis-py writes to its socket, so the code under test is as it is.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from redis.connection import AbstractConnection


@contextmanager
def before_command(text: str, act: Callable[[], object], *, nth: int = 1) -> Iterator[None]:
    """Do something once, right before this thread sends the nth packet with this text in it."""
    left = nth

    def count_down() -> None:
        nonlocal left
        left -= 1
        if not left:
            act()

    with before_commands(text, count_down):
        yield


@contextmanager
def before_commands(text: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something before each packet with this text that this thread sends, but for its own."""
    # Any: redis-py leaves it without types.
    send: Any = AbstractConnection.send_packed_command
    thread = threading.get_ident()
    is_acting = False

    def interrupt(
        connection: AbstractConnection, command: str | Iterable[bytes], check_health: bool = True
    ) -> None:
        nonlocal is_acting
        packet = command if isinstance(command, str) else list(command)
        if threading.get_ident() == thread and not is_acting and _has(packet, text):
            is_acting = True
            try:
                act()
            finally:
                is_acting = False
        send(connection, packet, check_health)

    with mock.patch.object(AbstractConnection, "send_packed_command", interrupt):
        yield


def _has(packet: str | list[bytes], text: str) -> bool:
    return text in packet if isinstance(packet, str) else text.encode() in b"".join(packet)
