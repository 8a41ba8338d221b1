"""Stop a web process in the middle of its streams, and see that nobody loses anything.

    python -m bench.drain [--streams 50]

Two web processes run. When every stream of the first one is under way, it is sent SIGTERM, while
new requests go on to the second. Each stream must come to its end marker with the usage that it
announces, and be charged exactly for that; no new request may fail; and the first process must
leave by itself, with the books at rest.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from devstack.errors import LaunchError
from devstack.share import Sample, take_share
from devstack.stack import Stack

MODEL = "gpt-4o"
# The demonstration's price of it, in credits per token.
PROMPT_CREDITS, COMPLETION_CREDITS = 1, 4
# Five seconds: long enough to be under way together, shorter than DRAIN_TIMEOUT_S.
DIRECTIVES = "[[tokens=100]] [[tps=20]]"
BEGIN_WITHIN_S = 30.0
LEAVE_WITHIN_S = 60.0
PAUSE_S = 0.1
READ_RECORDS = """
import json
from billing.models import UsageRecord
rows = UsageRecord.objects.filter(is_stream=True).values_list("request_id", "charged_credits")
print(json.dumps(dict(rows)))
"""


@dataclass
class Stream:
    """One stream as its client saw it."""

    number: int
    request_id: str = ""
    events: list[str] = field(default_factory=list)
    trouble: str = ""
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_whole(self) -> bool:
        return bool(self.events) and self.events[-1] == "[DONE]"

    @property
    def usage(self) -> dict[str, int] | None:
        """What the stream says that it used, in the chunk before its end marker."""
        found = [json.loads(event).get("usage") for event in self.events[:-1] if "usage" in event]
        return found[-1] if found else None

    @property
    def due_credits(self) -> int | None:
        """What it must be charged by its own account."""
        used = self.usage
        if used is None:
            return None
        return (
            used["prompt_tokens"] * PROMPT_CREDITS + used["completion_tokens"] * COMPLETION_CREDITS
        )


@dataclass
class Result:
    """What came of it."""

    streams: list[Stream]
    charged: dict[str, int]
    others: list[int]
    ready: list[str]
    exit_code: int | None
    left_after_s: float
    audit: str

    @property
    def finished(self) -> int:
        return sum(stream.is_whole for stream in self.streams)

    @property
    def exact(self) -> int:
        """How many streams were charged what they announced."""
        return sum(
            stream.due_credits is not None
            and self.charged.get(stream.request_id) == stream.due_credits
            for stream in self.streams
        )

    @property
    def is_good(self) -> bool:
        is_served = bool(self.others) and all(status == 200 for status in self.others)
        return (
            self.finished == self.exact == len(self.streams)
            and is_served
            and "200" not in self.ready
            and self.exit_code in {0, -signal.SIGTERM}
            and not self.audit
        )

    def table(self) -> str:
        count = len(self.streams)
        served = sum(status == 200 for status in self.others)
        rows = [
            ("streams under way at SIGTERM", f"{count}"),
            ("came to their end marker", f"{self.finished} of {count}"),
            ("charged exactly what they announced", f"{self.exact} of {count}"),
            ("credits charged for them", f"{sum(self.charged.values()):,}"),
            ("new requests to the other process", f"{served} of {len(self.others)} served"),
            ("/readyz of the stopping one", ", ".join(sorted(set(self.ready))) or "not asked"),
            ("left by itself after", f"{self.left_after_s:.1f} s, exit {self.exit_code}"),
            ("audit_money", self.audit or "every invariant holds"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


class Drain:
    """One run against a stack."""

    def __init__(self, stack: Stack, secret: str, streams: int) -> None:
        self._stack = stack
        self._headers = {"authorization": f"Bearer {secret}"}
        self._streams = [Stream(number) for number in range(streams)]
        self._leaving, self._staying = stack.web_urls
        self._others: list[int] = []
        self._ready: list[str] = []

    async def run(self) -> tuple[list[Stream], list[int], list[str], float]:
        """Open the streams, stop the process under them, and wait for all to end."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            reading = [asyncio.create_task(self._read(session, one)) for one in self._streams]
            async with asyncio.timeout(BEGIN_WITHIN_S):
                await asyncio.gather(*(one.has_begun.wait() for one in self._streams))
            stopped_at = time.monotonic()
            self._stack.web[0].signal(signal.SIGTERM)
            leaving = asyncio.to_thread(self._stack.web[0].wait, LEAVE_WITHIN_S)
            watching = asyncio.create_task(self._watch(session))
            await leaving
            left_after_s = time.monotonic() - stopped_at
            await asyncio.gather(*reading)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return self._streams, self._others, self._ready, left_after_s

    async def _read(self, session: aiohttp.ClientSession, stream: Stream) -> None:
        body = {
            **question(f"{DIRECTIVES} {stream.number}"),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        url = f"{self._leaving}/v1/chat/completions"
        try:
            async with session.post(url, json=body, headers=self._headers) as response:
                stream.request_id = response.headers["x-request-id"]
                response.raise_for_status()
                async for line in response.content:
                    if line.startswith(b"data: "):
                        stream.events.append(line[6:].strip().decode())
                        stream.has_begun.set()
        except (aiohttp.ClientError, OSError) as error:
            stream.trouble = repr(error)
        finally:
            stream.has_begun.set()

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        """Send new requests to the process that stays, and ask the other whether it is ready."""
        url = f"{self._staying}/v1/chat/completions"
        while True:
            async with session.post(
                url, json={**question("Hello!"), "max_tokens": 3}, headers=self._headers
            ) as response:
                await response.read()
                self._others.append(response.status)
            self._ready.append(await self._ask_ready(session))
            await asyncio.sleep(PAUSE_S)

    async def _ask_ready(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get(f"{self._leaving}/readyz") as response:
                return str(response.status)
        except (aiohttp.ClientError, OSError):
            return "refused"


def question(text: str) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


def measure(streams: int) -> Result:
    """Start a product of its own, and stop half of it under load."""
    with (
        tempfile.TemporaryDirectory(prefix="drain-") as folder,
        Stack(Path(folder), webs=2) as stack,
    ):
        secret = stack.manage("issue_key", "drain@example.com").split()[-1]
        stack.manage("grant_credits", "drain@example.com", "10000000", "--reason", "a drain test")
        seen, others, ready, left_after_s = asyncio.run(Drain(stack, secret, streams).run())
        audit = await_rest(stack)
        charged = json.loads(
            stack.manage("shell", "--no-imports", "-c", READ_RECORDS).split("\n")[-2]
        )
        exit_code = stack.web[0].exit_code
    return Result(seen, charged, others, ready, exit_code, left_after_s, audit)


def await_rest(stack: Stack, *, within_s: float = 20.0) -> str:
    """Audit until the books are at rest, and return what is wrong if they never are."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            stack.manage("audit_money", "--at-rest")
        except LaunchError as error:
            if time.monotonic() > deadline:
                return str(error)
            time.sleep(0.5)
        else:
            return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.drain", description=__doc__)
    parser.add_argument("--streams", type=int, default=50)
    options = parser.parse_args(arguments)
    # One scenario, which can't be cut: within a share it is begun or it is not.
    sample = Sample(take_share(os.environ))
    if not sample.wants("stopping a web process under streams"):
        print(sample.tell(1, "scenarios"))
        return 0
    result = measure(options.streams)
    print(f"A web process was stopped under {options.streams} streams:\n\n{result.table()}")
    for stream in result.streams:
        if stream.trouble or not stream.is_whole:
            print(f"  stream {stream.number}: {stream.trouble or 'no end marker'}")
    return 0 if result.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
