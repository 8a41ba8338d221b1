"""An upstream that answers each request with the bytes of the row that its model names."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread

import orjson

from tests.proxy.corpus.rows import Row


@asynccontextmanager
async def serve_rows(rows: Iterable[Row]) -> AsyncIterator[str]:
    """Serve on a free port; yields the base URL."""
    by_name = {row.name: row for row in rows}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = orjson.loads(await reader.readexactly(int(length)))
                writer.write(answer(by_name[body["model"]]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


@contextmanager
def serving_rows(rows: Iterable[Row]) -> Iterator[str]:
    """Serve in a thread, for who has no event loop; yields the base URL."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="corpus", daemon=True)
    thread.start()
    served = serve_rows(rows)
    try:
        yield asyncio.run_coroutine_threadsafe(served.__aenter__(), loop).result(10)
    finally:
        ended = served.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(ended, loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def answer(row: Row) -> bytes:
    """Write a row's answer, headers and all."""
    media_type = f"content-type: {row.media_type}\r\n" if row.media_type else ""
    head = f"HTTP/1.1 {row.status} X\r\n{media_type}server: Canary\r\n"
    return f"{head}content-length: {len(row.body)}\r\n\r\n".encode() + row.body
