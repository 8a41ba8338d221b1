"""The emulator as the tests meet it: a process of its own, called over HTTP."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

ROOT = Path(__file__).resolve().parents[3]
API_KEY = "sk-upstream-test"
SECOND_API_KEY = "sk-upstream-test-2"
ADMIN_KEY = "sk-upstream-admin"
EVENT = b"data: "


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    url: str
    client: httpx.Client

    def post(self, content: str = "Hello", **fields: Any) -> httpx.Response:
        """One chat completion with one user message."""
        return self.client.post("/v1/chat/completions", json=body(content, **fields))

    def stream(self, content: str = "Hello", **fields: Any) -> list[Any]:
        """The events of a streamed chat completion, the last one too if the stream breaks."""
        return [event for event, _ in self.timed_stream(content, **fields)]

    def timed_stream(self, content: str = "Hello", **fields: Any) -> Iterator[tuple[Any, float]]:
        """Each event with the seconds since the request."""
        began_at = time.monotonic()
        payload = body(content, stream=True, **fields)
        with self.client.stream("POST", "/v1/chat/completions", json=payload) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                if line:
                    yield read_event(line.encode()), time.monotonic() - began_at

    def tally(self) -> dict[str, Any]:
        """The sums."""
        totals: dict[str, Any] = self.client.get("/control/tally").json()["totals"]
        return totals

    def requests(self, **query: int) -> list[dict[str, Any]]:
        """The records."""
        lines = self.client.get("/control/requests", params=query).content.splitlines()
        return [orjson.loads(line) for line in lines]

    def set_faults(self, rules: object) -> httpx.Response:
        """Replace the fault rules."""
        return self.client.post("/control/faults", json=rules)

    def wait_for(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The sums as soon as they fulfil the condition; fails after 5 seconds."""
        deadline = time.monotonic() + 5
        while not condition(totals := self.tally()):
            assert time.monotonic() < deadline, totals
        return totals


def body(content: str, **fields: Any) -> dict[str, Any]:
    """A chat completion's body."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **fields}


def read_event(line: bytes) -> Any:
    """An event's JSON, or its text where it is none."""
    data = line.removeprefix(EVENT)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode()


def texts(events: list[Any], index: int = 0) -> list[str]:
    """The contents of one choice, without the empty one that opens it."""
    choices = [
        choice for event in events if isinstance(event, dict) for choice in event.get("choices", [])
    ]
    deltas = [choice["delta"] for choice in choices if choice["index"] == index]
    return [delta["content"] for delta in deltas if delta.get("content")]


def read_stream(emulator: "Emulator", path: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """The JSON events of a streamed answer, without `[DONE]`."""
    with emulator.client.stream("POST", path, json={**payload, "stream": True}) as response:
        assert response.status_code == 200, response.read()
        lines = [line for line in response.iter_lines() if line.startswith("data: {")]
    return [orjson.loads(line.removeprefix("data: ")) for line in lines]


@contextmanager
def running(*options: str) -> Iterator[Emulator]:
    """Start an emulator on a free port; stop it afterwards."""
    command = [sys.executable, "-m", "sandbox.upstream", "--port", "0", "--api-key", API_KEY]
    # A second key, for tests of a provider with several.
    command += ["--api-key", SECOND_API_KEY, "--admin-key", ADMIN_KEY]
    with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().split()[2].removesuffix("/v1")
            headers = {"authorization": f"Bearer {API_KEY}"}
            with httpx.Client(base_url=url, headers=headers, timeout=10) as client:
                yield Emulator(url, client)
        finally:
            process.terminate()
            process.wait(10)
