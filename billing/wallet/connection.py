"""One multiplexed Redis connection for a whole web process.

Commands of all requests are pipelined over one socket and answered in order. redis-py's pool
takes a connection per command in flight and costs 0.27 ms more a request, measured.

After any failure, every command in flight fails with `ConnectionLost`, the socket is closed and
the next command connects anew: after a time-out the order of answers can't be trusted any more.
Nothing is sent twice: only the caller knows what may be repeated.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import hiredis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from billing.wallet.address import RedisAddress
from billing.wallet.convoys import MOST, Argument, Kind, convoy, kind_of, replies_of

# Of a command in all, connecting included: a client waits two seconds at most for a 503.
TIMEOUT_S = 1.8
# What a primary answers that became a replica, or whose replica may have become the primary.
DEMOTED = ("READONLY", "NOREPLICAS")


class ConnectionLost(Exception):
    """The command may or may not have run: Redis did not answer."""


class NotConnected(ConnectionLost):
    """The command was not sent: Redis can't be reached."""


class CommandRefused(Exception):
    """Redis answered with an error; nothing was changed."""


class Connection:
    """Connects with the first command, and again after a loss. Safe in many tasks of one loop."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._address = RedisAddress.parse(url)
        self._timeout_s = timeout_s
        self._protocol: _Protocol | None = None
        self._connecting: asyncio.Task[_Protocol] | None = None

    async def command(self, *parts: Argument) -> Any:
        """Send one command and return its answer. Raises ConnectionLost or CommandRefused."""
        protocol = self._protocol
        if protocol is not None and not protocol.is_closed:
            return await self._ask(protocol, protocol.send(parts, self._timeout_s))
        started = time.monotonic()
        protocol = await self._connect()
        left_s = self._timeout_s - (time.monotonic() - started)
        return await self._ask(protocol, protocol.send(parts, left_s))

    def send(self, *parts: Argument) -> Awaitable[Any] | None:
        """Send one command in this loop iteration, and return its answer, to be awaited later.

        None, and nothing is sent, if there is no connection. Otherwise as `command`.
        """
        protocol = self._protocol
        if protocol is None or protocol.is_closed:
            return None
        return self._ask(protocol, protocol.send(parts, self._timeout_s))

    async def close(self) -> None:
        """Close the socket; commands in flight fail."""
        attempt = self._connecting
        if attempt is not None:
            attempt.cancel()
            await asyncio.wait([attempt])
        if self._protocol is not None:
            self._protocol.abort(ConnectionLost("The connection was closed."))
            self._protocol = None
        # The loop releases an aborted socket in its next iteration, which may be its last.
        await asyncio.sleep(0)

    async def _ask(self, protocol: "_Protocol", answer: "asyncio.Future[Any]") -> Any:
        # Even a cancelled answer keeps its place in the order of answers.
        reply = await answer
        if isinstance(reply, hiredis.ReplyError):
            if self._address.sentinels and str(reply).startswith(DEMOTED):
                # The next command asks the Sentinels which server is the primary now.
                protocol.abort(ConnectionLost("The server may not be the primary any more."))
            raise CommandRefused(str(reply))
        return reply

    async def _connect(self) -> "_Protocol":
        """Wait for the one attempt to connect that all commands share."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._open_in_time())
            self._connecting.add_done_callback(self._connected)
        attempt = self._connecting
        try:
            # Shielded, because other commands may wait for the same attempt.
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            if attempt.cancelled():
                raise NotConnected("The connection was closed.") from None
            raise

    def _connected(self, attempt: "asyncio.Task[_Protocol]") -> None:
        self._connecting = None
        if not attempt.cancelled() and attempt.exception() is None:
            self._protocol = attempt.result()

    async def _open_in_time(self) -> "_Protocol":
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._open()
        except (OSError, TimeoutError, CommandRefused, ConnectionLost) as error:
            raise NotConnected(f"Redis can't be reached: {error}") from error

    async def _open(self) -> "_Protocol":
        loop = asyncio.get_running_loop()
        address = self._address
        if address.path:
            _, protocol = await loop.create_unix_connection(_Protocol, address.path)
        else:
            host, port = await _find_server(address)
            _, protocol = await loop.create_connection(
                _Protocol, host, port, ssl=address.new_context()
            )
        try:
            if address.password is not None:
                names = [address.username] if address.username else []
                await self._ask(
                    protocol, protocol.send(["AUTH", *names, address.password], self._timeout_s)
                )
            await self._ask(protocol, protocol.send(["SELECT", address.db], self._timeout_s))
        except BaseException:
            protocol.abort(ConnectionLost("Redis refused the connection."))
            raise
        return protocol


async def _find_server(address: RedisAddress) -> tuple[str, int]:
    """Return where the server is now: of a service of Sentinels, its primary."""
    if not address.sentinels:
        return address.host, address.port
    asked = {**address.sentinel_arguments(), "retry": Retry(NoBackoff(), 0)}
    # Any: redis-py leaves it without types.
    sentinels: Any = Sentinel(address.sentinels, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    try:
        host, port = await sentinels.discover_master(address.service)
    except RedisError as error:
        raise NotConnected(f"No primary is known: {error}") from error
    finally:
        for sentinel in sentinels.sentinels:
            await sentinel.aclose()
    return host, port


# A command of the present loop iteration, whose answer is awaited until then by the loop's clock.
_Queued = tuple[Sequence[Argument], asyncio.Future[Any], float]


class _Asked(NamedTuple):
    """What is sent as one command, and who waits for it: several, if it is a convoy."""

    packed: bytes
    answers: Sequence[asyncio.Future[Any]]
    late_at: float

    def resolve(self, reply: Any) -> None:
        """Give everybody their reply."""
        replies = replies_of(reply, len(self.answers))
        for answer, own in zip(self.answers, replies, strict=True):
            if not answer.done():
                answer.set_result(own)


def _ask_together(queued: Sequence[_Queued]) -> Iterator[_Asked]:
    """Yield what to send for the commands of one loop iteration: alone, or in convoys."""
    convoys: dict[Kind, list[_Queued]] = {}
    for each in queued:
        kind = kind_of(each[0])
        if kind is None:
            yield from _ask(each[0], [each])
        else:
            convoys.setdefault(kind, []).append(each)
    for (function, _), calls in convoys.items():
        for first in range(0, len(calls), MOST):
            some = calls[first : first + MOST]
            if len(some) == 1:
                yield from _ask(some[0][0], some)
            else:
                yield from _ask(convoy(function, [parts for parts, _, _ in some]), some)


def _ask(parts: Sequence[Argument], queued: Sequence[_Queued]) -> Iterator[_Asked]:
    """Yield a command to send, or fail it if it is none; of a convoy, that one alone."""
    try:
        packed = hiredis.pack_command(tuple(parts))  # type: ignore[arg-type]
    except TypeError as error:
        if len(queued) == 1:
            queued[0][1].set_exception(error)
        else:
            for each in queued:
                yield from _ask(each[0], [each])
        return
    yield _Asked(packed, [answer for _, answer, _ in queued], min([at for _, _, at in queued]))


class _Protocol(asyncio.Protocol):
    """Matches answers to commands by their order. One alarm watches the time of all."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=NotImplemented)
        self._waiting: deque[_Asked] = deque()
        self._queued: list[_Queued] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio's, but are no subclasses.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, parts: Sequence[Argument], timeout_s: float) -> "asyncio.Future[Any]":
        """Queue a command; all commands of one loop iteration go out in one write.

        If its answer is late, the connection is aborted. The caller awaits the answer.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self.is_closed:
            answer.set_exception(ConnectionLost("The connection was closed."))
            return answer
        if not self._queued:
            loop.call_soon(self._flush, loop)
        self._queued.append((parts, answer, loop.time() + timeout_s))
        return answer

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not NotImplemented:
            self._waiting.popleft().resolve(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(ConnectionLost("Redis closed the connection."))

    def abort(self, error: ConnectionLost) -> None:
        """Close the socket and fail every command in flight. Safe to repeat."""
        self.is_closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._transport is not None:
            self._transport.abort()
        lost = [answer for asked in self._waiting for answer in asked.answers]
        lost += [answer for _, answer, _ in self._queued]
        self._waiting.clear()
        self._queued.clear()
        for answer in lost:
            if not answer.done():
                answer.set_exception(error)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = loop.call_at(at, self._look, loop), at

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Abort if an answer is late; otherwise look again when the first may be."""
        self._alarm, self._alarm_at = None, math.inf
        late_at = min((asked.late_at for asked in self._waiting), default=math.inf)
        if late_at <= loop.time():
            self.abort(ConnectionLost("Redis did not answer in time."))
        elif self._waiting:
            self._set_alarm(loop, late_at)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._transport is None or self.is_closed:
            return
        asked = list(_ask_together(self._queued))
        self._queued.clear()
        self._waiting.extend(asked)
        self._transport.write(b"".join([each.packed for each in asked]))
        late_at = min([each.late_at for each in asked], default=math.inf)
        if late_at < self._alarm_at:
            self._set_alarm(loop, late_at)
