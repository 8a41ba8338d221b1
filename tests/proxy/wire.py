"""A client that sends bytes as it likes, where an HTTP library would not."""

import asyncio
import json
import re
from contextlib import suppress

# Longer than any limit of a test, and than a busy machine takes.
PATIENCE_S = 30


class Client:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int, address: str = "127.0.0.1") -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def read_all(self) -> bytes:
        """Read until the server hangs up."""
        parts = []
        async with asyncio.timeout(PATIENCE_S):
            try:
                while part := await self._reader.read(65_536):
                    parts.append(part)
            except ConnectionError:
                pass
        await self.close()
        return b"".join(parts)

    async def read_answer(self) -> bytes:
        """Read one answer that has a Content-Length."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            [length] = re.findall(rb"content-length: (\d+)", head.lower())
            return head + await self._reader.readexactly(int(length))

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def assert_refused(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"access-control-allow-origin: *" in head
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert [line for line in lines if line.startswith("x-request-id: req_")]
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
