"""Read a request's body within a size, a time, and a share of the process' memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable

from django.conf import settings

from proxy.errors import PayloadTooLarge, RequestTooSlow, ServerBusy
from proxy.http.connection import ClientConnection
from proxy.parsing.jsonbody import COUNTED_BYTES, OUTLINED_BYTES, SMALL_BYTES

# A body of which nothing more comes for this long is given up.
STALL_S = 10.0


class BodyBudget:
    """The bytes of all bodies between their first byte and their admission, per process.

    A small one counts only if it does not come in one part.

    One owner gets half of it at most, so that no one's bodies keep everybody else's out.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.used_bytes = 0
        self._limit_bytes = limit_bytes
        self._owners: dict[Hashable, int] = {}

    def take(self, owner: Hashable, size: int) -> None:
        """Take so many bytes. Raises ServerBusy if there are none left."""
        of_owner = self._owners.get(owner, 0) + size
        if self.used_bytes + size > self._limit_bytes or of_owner > self._limit_bytes // 2:
            raise ServerBusy
        self.used_bytes += size
        self._owners[owner] = of_owner

    def give_back(self, owner: Hashable, size: int) -> None:
        """Give back what was taken."""
        self.used_bytes -= size
        self._owners[owner] -= size
        if not self._owners[owner]:
            del self._owners[owner]


class BodyReader:
    """Reads one body. Whoever makes one releases it, however the reading ends."""

    def __init__(self, connection: ClientConnection, budget: BodyBudget, owner: Hashable) -> None:
        self._connection = connection
        self._budget = budget
        self._owner = owner
        self._taken_bytes = 0

    async def read(
        self,
        limit_bytes: int,
        *,
        before_large: Callable[[], Awaitable[None]] | None = None,
        check: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> bytes:
        """Read the whole body. `before_large` is awaited before one is read beyond COUNTED_BYTES.

        `check` sees every part of a body beyond OUTLINED_BYTES when it comes, and may refuse it
        before the rest is read. Raises PayloadTooLarge, RequestTooSlow, ServerBusy, ClientLeft.
        """
        declared = self._connection.declared_bytes
        if declared > limit_bytes:
            raise _too_large(limit_bytes)
        deadline = time.monotonic() + settings.BODY_TIMEOUT_S
        if declared > COUNTED_BYTES and before_large is not None:
            await before_large()
            before_large = None
        parts: list[bytes] = []
        size, is_checked, is_whole = 0, False, False
        while not is_whole:
            part, is_whole = await self._next(deadline)
            size += len(part)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            parts.append(part)
            if size > COUNTED_BYTES and before_large is not None:
                await before_large()
                before_large = None
            # A small body is kept only while its rest is waited for.
            if size > SMALL_BYTES or not is_whole:
                self._hold(size)
            if check is not None and max(size, declared) > OUTLINED_BYTES:
                await check(part if is_checked else b"".join(parts))
                is_checked = True
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self) -> None:
        """Give the body's share back. Safe to repeat."""
        if self._taken_bytes:
            self._budget.give_back(self._owner, self._taken_bytes)
            self._taken_bytes = 0

    def _hold(self, size: int) -> None:
        """Have so many bytes in all of the budget. Raises ServerBusy."""
        if more := size - self._taken_bytes:
            self._budget.take(self._owner, more)
            self._taken_bytes = size

    async def _next(self, deadline: float) -> tuple[bytes, bool]:
        if self._connection.has_part:
            return await self._connection.receive_part()
        try:
            async with asyncio.timeout(min(STALL_S, deadline - time.monotonic())):
                return await self._connection.receive_part()
        except TimeoutError as error:
            raise RequestTooSlow from error


def _too_large(limit_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {limit_bytes} bytes.")
