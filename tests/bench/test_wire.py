"""The fake upstream and the load generator, in C and in Python, with each other."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.table import prompts
from bench.table.wire import COMPILERS, Wire, make_wire
from devstack.environment import ROOT
from devstack.ports import free_port
from devstack.process import Process
from devstack.ready import await_port

NO_COMPILER: tuple[str, ...] = ()


@dataclass
class Tools:
    """A running upstream, and the load generator made of the same."""

    wire: Wire
    port: int
    folder: Path

    def send(self, kind: str, connections: int, *amount: str, body: dict[str, Any]) -> Any:
        request = self.folder / "request"
        request.write_bytes(prompts.as_http(body, {"Authorization": "Bearer x"}))
        command = [*self.wire.load, kind, str(self.port), str(connections), *amount, str(request)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


@pytest.fixture(params=[COMPILERS, NO_COMPILER], ids=["compiled", "python"])
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tools]:
    if request.param and not any(shutil.which(name) for name in COMPILERS):
        pytest.skip("there is no C compiler here")
    wire = make_wire(tmp_path / "wire", compilers=request.param)
    port = free_port()
    process = Process("upstream", [*wire.upstream, str(port)], output=tmp_path / "log", cwd=ROOT)
    process.start()
    try:
        await_port(process, port)
        yield Tools(wire, port, tmp_path)
    finally:
        process.stop()


def test_what_is_compiled_is_used_and_python_without_a_compiler(tools: Tools) -> None:
    is_python = "Python" in tools.wire.made_of

    assert is_python == ("-m" in tools.wire.load) == ("-m" in tools.wire.upstream)


def test_every_request_is_answered_and_counted(tools: Tools) -> None:
    seen = tools.send("json", 4, "0.3", body=prompts.chat(prompts.PLAIN_MODEL, 20_000))

    assert seen["errors"] == 0, seen["first_error"]
    assert seen["requests"] >= 4
    assert 0 < seen["p50_ms"] <= seen["p99_ms"]


def test_every_chunk_of_every_stream_arrives_with_its_delay(tools: Tools) -> None:
    seen = tools.send("streams", 5, "7", "20", body=prompts.stream(7, 10))

    assert seen["errors"] == 0, seen["first_error"]
    assert (seen["requests"], seen["chunks"]) == (5, 5 * 7)
    assert 0 < seen["delay_p50_ms"] <= seen["delay_p99_ms"] < 10_000


def test_a_stream_that_lacks_chunks_is_an_error(tools: Tools) -> None:
    seen = tools.send("streams", 2, "8", "0", body=prompts.stream(7, 10))

    assert (seen["requests"], seen["errors"]) == (0, 2)
    assert "chunks" in seen["first_error"]


def test_a_refusal_is_an_error_that_names_the_status(tools: Tools) -> None:
    body = {**prompts.stream(7, 10), "model": "another"}

    seen = tools.send("streams", 2, "7", "0", body=body)

    assert (seen["requests"], seen["errors"]) == (0, 2)
    assert "404" in seen["first_error"]
