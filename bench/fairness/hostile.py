"""Send one family to a web process on this machine, until told to stop or for so many seconds.

    python -m bench.fairness.hostile NAME --port 8000 --seconds 10

The customer's key is in FAIRNESS_KEY. The last line says what was answered.
"""

import argparse
import asyncio
import json
import os
import re
from collections import Counter
from itertools import cycle

from accounts.secrets import make_secret
from bench.fairness.families import SENT, Family, Key, Way

HOST = "127.0.0.1"
# The good client comes from 127.0.0.1; each of these may open as many connections as any other.
ADDRESSES = ("127.0.0.2", "127.0.0.3")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
# A client that is refused a connection tries again after this.
PAUSE_S = 0.05
GIVE_UP_S = 5.0
SLOW_BUFFER_BYTES = 4_096


class Attack:
    """One family's clients, and the answers that they had."""

    def __init__(self, family: Family, port: int, secret: str) -> None:
        self._family = family
        self._port = port
        self._secret = secret
        self._body = family.make()
        self._addresses = cycle(ADDRESSES)
        self.answers: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Let all clients send for so long."""
        clients = [asyncio.create_task(self._be_client()) for _ in range(self._family.clients)]
        await asyncio.sleep(seconds)
        for client in clients:
            client.cancel()
        await asyncio.wait(clients, timeout=GIVE_UP_S)

    async def _be_client(self) -> None:
        ways = {Way.POST: self._post, Way.STOP: self._stop, Way.STREAM: self._stream}
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    HOST,
                    self._port,
                    local_addr=(next(self._addresses), 0),
                    limit=SLOW_BUFFER_BYTES if self._family.way is Way.STREAM else 65_536,
                )
            except OSError:
                self.answers["no connection"] += 1
                await asyncio.sleep(PAUSE_S)
                continue
            try:
                await ways[self._family.way](reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                self.answers["hung up"] += 1
                await asyncio.sleep(PAUSE_S)
            finally:
                writer.transport.abort()

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            sending = asyncio.create_task(self._send(writer, self._head() + self._body))
            try:
                await self._read_answer(reader)
            finally:
                sending.cancel()
                await asyncio.wait({sending})

    async def _stop(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = self._head() + self._body
        part = self._family.sent or 0
        if part > len(self._head()):
            part += len(self._head())
        await self._send(writer, whole[:part])
        await self._read_answer(reader)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, self._head() + self._body)
        speed = self._family.reads_bytes_s
        if speed is None:
            await asyncio.Event().wait()
        # One who reads a little a second is what this is about.
        while await reader.read(speed or 1):  # noqa: ASYNC110
            await asyncio.sleep(1)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def _read_answer(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.answers[head[9:12].decode()] += 1
        found = LENGTH.search(head)
        await reader.readexactly(int(found[1]) if found else 0)
        if b"connection: close" in head.lower():
            raise ConnectionResetError

    def _head(self) -> bytes:
        family = self._family
        secret = {Key.CUSTOMER: self._secret, Key.NONE: ""}.get(family.key)
        if secret is None:
            secret = make_secret().text
        return (
            b"%b %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n%b\r\n"
            % (
                family.method.encode(),
                family.path.encode(),
                HOST.encode(),
                secret.encode(),
                family.declared or len(self._body),
                family.headers(),
            )
        )


def main() -> None:
    """Send until the time is over, and say what was answered."""
    parser = argparse.ArgumentParser(prog="python -m bench.fairness.hostile", description=__doc__)
    parser.add_argument("family", choices=SENT)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    # A stranger has a machine of its own: it shall not be slow for want of this one's processors.
    os.nice(19)
    attack = Attack(SENT[options.family], options.port, os.environ["FAIRNESS_KEY"])
    asyncio.run(attack.run(options.seconds))
    print(json.dumps(attack.answers))


if __name__ == "__main__":
    main()
