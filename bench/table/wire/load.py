"""What `load.c` does, where there is no compiler, with the same arguments and answer.

python -m bench.table.wire.load json PORT CONNECTIONS SECONDS FILE
python -m bench.table.wire.load streams PORT CONNECTIONS CHUNKS RAMP_MS FILE
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import uvloop

MOST_ERRORS = 100
# Nobody waits longer for anything.
PATIENCE_S = 60.0
STAMP = re.compile(rb"@@(\d{16})")
STAMP_BYTES = 18
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Refused(Exception):
    """An answer that is none, or not whole."""


@dataclass
class Seen:
    """What the clients saw, in seconds."""

    requests: int = 0
    errors: int = 0
    first_error: str = ""
    took: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def note_error(self, error: Exception) -> None:
        self.errors += 1
        self.first_error = self.first_error or f"{type(error).__name__}: {error}"[:300]


class Client:
    """Asks on one connection. `chunks` is what a stream must have, 0 for JSON."""

    def __init__(self, port: int, template: bytes, seen: Seen, chunks: int = 0) -> None:
        self._port, self._template, self._seen, self._chunks = port, template, seen, chunks

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, number: int) -> None:
        """Send one request, and note how long the answer took, or that it is none."""
        started = time.perf_counter()
        self._writer.write(self._template.replace(b"########", b"%08d" % (number % 10**8)))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._read_answer(started)
        except (OSError, Refused, asyncio.IncompleteReadError, ValueError) as error:
            self._seen.note_error(error)
            self._writer.close()
            await self.open()
        else:
            self._seen.requests += 1
            self._seen.took.append(time.perf_counter() - started)

    async def _read_answer(self, started: float) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        if CHUNKED.search(head):
            stamps = await self._read_chunks(started)
        else:
            await self._reader.readexactly(int(length[1]) if length else 0)
            stamps = 0
        if head[9:12] != b"200" or stamps != self._chunks:
            raise Refused(f"{head[9:12].decode()}, {stamps} of {self._chunks} chunks")

    async def _read_chunks(self, started: float) -> int:
        stamps, rest = 0, b""
        while size := int(await self._reader.readline(), 16):
            rest += (await self._reader.readexactly(size + 2))[:-2]
            now = time.monotonic()
            for found in STAMP.finditer(rest):
                if not stamps:
                    self._seen.firsts.append(time.perf_counter() - started)
                self._seen.delays.append(now - int(found[1]) / 1e6)
                stamps += 1
            end = max((found.end() for found in STAMP.finditer(rest)), default=0)
            rest = rest[max(end, len(rest) - STAMP_BYTES) :]
        await self._reader.readline()
        return stamps


async def run_json(port: int, connections: int, seconds: float, template: bytes) -> Seen:
    """Let each connection ask, one request after the other, for so long."""
    seen, numbers, ends_at = Seen(), count(), time.monotonic() + seconds

    async def work() -> None:
        client = Client(port, template, seen)
        await client.open()
        while time.monotonic() < ends_at and seen.errors < MOST_ERRORS:
            await client.ask(next(numbers))

    await asyncio.gather(*(work() for _ in range(connections)))
    return seen


async def run_streams(
    port: int, connections: int, chunks: int, ramp_ms: float, template: bytes
) -> Seen:
    """Let each connection ask for one stream, all within so many milliseconds."""
    seen = Seen()
    clients = [Client(port, template, seen, chunks) for _ in range(connections)]
    await asyncio.gather(*(client.open() for client in clients))

    async def work(index: int, client: Client) -> None:
        await asyncio.sleep(ramp_ms / 1_000 * index / connections)
        await client.ask(index)

    await asyncio.gather(*(work(index, client) for index, client in enumerate(clients)))
    return seen


def percentile_ms(values: list[float], percent: int) -> float:
    """Return milliseconds; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1_000 if ordered else 0.0


def main(kind: str, *arguments: str) -> None:
    """Print what was seen as one line of JSON."""
    port, connections, template = int(arguments[0]), int(arguments[1]), Path(arguments[-1])
    began = time.perf_counter()
    if kind == "json":
        seen = uvloop.run(run_json(port, connections, float(arguments[2]), template.read_bytes()))
    else:
        chunks, ramp_ms = int(arguments[2]), float(arguments[3])
        seen = uvloop.run(run_streams(port, connections, chunks, ramp_ms, template.read_bytes()))
    answer = {
        "requests": seen.requests,
        "errors": seen.errors,
        "p50_ms": percentile_ms(seen.took, 50),
        "p99_ms": percentile_ms(seen.took, 99),
        "chunks": len(seen.delays),
        "first_p50_ms": percentile_ms(seen.firsts, 50),
        "delay_p50_ms": percentile_ms(seen.delays, 50),
        "delay_p99_ms": percentile_ms(seen.delays, 99),
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time(),
        "first_error": seen.first_error,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
