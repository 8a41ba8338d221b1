"""One socket for many tasks: answers go to whom they belong, whatever happens to the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import hiredis
import pytest

from billing.wallet.connection import CommandRefused, Connection, ConnectionLost, NotConnected
from devstack.valkey import Valkey


@dataclass
class SlowServer:
    """Speaks enough of Redis' protocol to answer late, or never: only when it is told to."""

    url: str = ""
    connections: int = 0
    asked: "asyncio.Queue[list[bytes]]" = field(default_factory=asyncio.Queue)
    is_mute: bool = False
    tasks: "list[asyncio.Task[None] | None]" = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        self._writers.append(writer)
        parser = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    if command[0] == b"SELECT" and not self.is_mute:
                        writer.write(b"+OK\r\n")
                    else:
                        self.asked.put_nowait(command)

    def answer(self, text: str) -> None:
        self._writers[-1].write(f"+{text}\r\n".encode())

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def slow() -> AsyncIterator[SlowServer]:
    server = SlowServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"redis://127.0.0.1:{port}/0"
    yield server
    server.hang_up()
    listener.close()
    await asyncio.gather(*(task for task in server.tasks if task))


async def test_a_thousand_tasks_get_their_own_answers(valkey_server: Valkey) -> None:
    connection = Connection(valkey_server.url)

    answers = await asyncio.gather(*(connection.command("ECHO", n) for n in range(1_000)))

    assert answers == [str(n).encode() for n in range(1_000)]
    await connection.close()


async def test_tasks_that_come_at_once_share_one_connection(slow: SlowServer) -> None:
    connection = Connection(slow.url)
    tasks = [asyncio.create_task(connection.command("ECHO", n)) for n in range(50)]
    for n in range(50):
        assert await slow.asked.get() == [b"ECHO", str(n).encode()]
        slow.answer(str(n))

    answers = await asyncio.gather(*tasks)

    assert (answers[49], slow.connections) == (b"49", 1)
    await connection.close()


async def test_a_cancelled_task_does_not_shift_the_answers_of_the_others(slow: SlowServer) -> None:
    connection = Connection(slow.url)
    first, second, third = (
        asyncio.create_task(connection.command("ECHO", n)) for n in ("first", "second", "third")
    )
    for _ in range(3):
        await slow.asked.get()

    second.cancel()
    for text in ("first", "second", "third"):
        slow.answer(text)

    assert (await first, await third) == (b"first", b"third")
    with pytest.raises(asyncio.CancelledError):
        await second
    await connection.close()


async def test_a_task_cancelled_while_connecting_does_not_fail_the_others(
    slow: SlowServer,
) -> None:
    slow.is_mute = True
    connection = Connection(slow.url)
    first = asyncio.create_task(connection.command("ECHO", "first"))
    second = asyncio.create_task(connection.command("ECHO", "second"))
    assert await slow.asked.get() == [b"SELECT", b"0"]

    first.cancel()
    await asyncio.sleep(0)
    slow.answer("OK")
    assert await slow.asked.get() == [b"ECHO", b"second"]
    slow.answer("second")

    assert await second == b"second"
    await connection.close()


async def test_a_late_answer_is_not_given_to_the_next_command(slow: SlowServer) -> None:
    connection = Connection(slow.url, timeout_s=0.05)
    with pytest.raises(ConnectionLost):
        await connection.command("ECHO", "too late")
    await slow.asked.get()
    slow.answer("too late")

    task = asyncio.create_task(connection.command("ECHO", "next"))
    await slow.asked.get()
    slow.answer("next")

    assert (await task, slow.connections) == (b"next", 2)
    await connection.close()


async def test_a_server_that_dies_in_the_middle_of_an_answer_fails_all_that_wait(
    slow: SlowServer,
) -> None:
    connection = Connection(slow.url)
    tasks = [asyncio.create_task(connection.command("ECHO", n)) for n in range(3)]
    for _ in range(3):
        await slow.asked.get()
    slow._writers[-1].write(b"$100\r\nhalf of it")

    slow.hang_up()

    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(failure) for failure in failures] == [ConnectionLost] * 3
    await connection.close()


async def test_a_command_after_a_loss_connects_anew(slow: SlowServer) -> None:
    connection = Connection(slow.url)
    lost = asyncio.create_task(connection.command("ECHO", "lost"))
    await slow.asked.get()
    slow.hang_up()
    with pytest.raises(ConnectionLost):
        await lost

    found = asyncio.create_task(connection.command("ECHO", "found"))
    await slow.asked.get()
    slow.answer("found")

    assert await found == b"found"
    await connection.close()


async def test_an_answer_that_is_not_redis_fails_all_that_wait(slow: SlowServer) -> None:
    connection = Connection(slow.url)
    task = asyncio.create_task(connection.command("ECHO", "x"))
    await slow.asked.get()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    slow._writers[-1].write(b"HTTP/1.1 400 Bad Request\r\n")

    with pytest.raises(ConnectionLost):
        await task
    await connection.close()


async def test_a_mute_server_fails_all_that_wait_at_the_same_time(slow: SlowServer) -> None:
    slow.is_mute = True
    connection = Connection(slow.url, timeout_s=0.1)
    started = asyncio.get_running_loop().time()

    failures = await asyncio.gather(
        *(connection.command("ECHO", n) for n in range(20)), return_exceptions=True
    )

    assert {type(failure) for failure in failures} == {NotConnected}
    # One after the other they would take 20 times as long.
    assert asyncio.get_running_loop().time() - started < 1
    assert slow.connections == 1


async def test_a_server_that_falls_silent_later_is_noticed_in_time(slow: SlowServer) -> None:
    connection = Connection(slow.url, timeout_s=0.2)
    loop = asyncio.get_running_loop()
    answered = asyncio.create_task(connection.command("ECHO", "first"))
    await slow.asked.get()
    slow.answer("first")
    await answered
    # The alarm that was set for the first command rings while the second may still be answered.
    await asyncio.sleep(0.1)
    started = loop.time()

    with pytest.raises(ConnectionLost, match="in time"):
        await asyncio.wait_for(connection.command("ECHO", "second"), 5)

    assert 0.19 < loop.time() - started < 1
    await connection.close()


async def test_a_server_that_is_away_was_not_sent_anything() -> None:
    connection = Connection("redis://127.0.0.1:1/0")

    with pytest.raises(NotConnected):
        await connection.command("PING")


async def test_a_wrong_password_is_said_to_be_one(valkey_server: Valkey) -> None:
    url = valkey_server.url.replace("redis://:", "redis://:wrong")

    with pytest.raises(NotConnected, match="WRONGPASS"):
        await Connection(url).command("PING")


async def test_an_error_reply_fails_that_command_alone(valkey_server: Valkey) -> None:
    connection = Connection(valkey_server.url)

    results = await asyncio.gather(
        connection.command("NONSENSE"), connection.command("ECHO", "x"), return_exceptions=True
    )

    assert isinstance(results[0], CommandRefused)
    assert results[1] == b"x"
    await connection.close()


async def test_closing_fails_what_waits_and_what_is_still_connecting(slow: SlowServer) -> None:
    slow.is_mute = True
    connection = Connection(slow.url)
    task = asyncio.create_task(connection.command("ECHO", "x"))
    await slow.asked.get()

    await connection.close()

    with pytest.raises(NotConnected):
        await task
