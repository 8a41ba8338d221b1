"""An upstream that gives every request the same bytes, for what the sandbox has no fault for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson


@dataclass
class Canned:
    """What it answers, and what it was sent. `hangs_up` closes the connection after an answer."""

    answer: bytes
    hangs_up: bool = False
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    base_url: str = ""
    # What follows an answer when it goes on, and when its beginning was written.
    then: bytes = b""
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    written_at: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.requests.append(head + await reader.readexactly(int(length)))
                writer.write(self.answer)
                await writer.drain()
                self.written_at = time.monotonic()
                if self.then:
                    await self.goes_on.wait()
                    writer.write(self.then)
                if self.hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def json_answer(status: int, payload: object) -> bytes:
    body = orjson.dumps(payload)
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def stream_answer(*data: str) -> bytes:
    """Write a stream of these payloads in one chunk."""
    body = "".join(f"data: {item}\n\n" for item in data).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    chunks = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return head + b"\r\n" + chunks + b"0\r\n\r\n"


def chunk(text: str = "", *, finish: bool = False) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop" if finish else None}
    return orjson.dumps(
        {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
    ).decode()


@asynccontextmanager
async def serve_canned(
    answer: bytes, *, hangs_up: bool = False, then: bytes = b""
) -> AsyncIterator[Canned]:
    """Run it on a free port."""
    canned = Canned(answer, hangs_up, then=then)
    server = await asyncio.start_server(canned.serve, "127.0.0.1", 0)
    canned.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield canned
    finally:
        server.close()
