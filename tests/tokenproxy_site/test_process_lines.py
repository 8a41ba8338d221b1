"""All that a process of a deployment says is JSON, a line each, from its start to its end."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("role", "begun", "stopping"),
    [
        ("web", "Application startup complete.", "Shutting down"),
        ("worker", "ready.", "Warm shutdown"),
    ],
)
def test_it_says_nothing_but_json(role: str, begun: str, stopping: str, tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    with start(role, journal=tmp_path) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        try:
            for line in process.stderr:
                lines.append(json.loads(line))
                if begun in lines[-1]["event"]:
                    process.send_signal(signal.SIGTERM)
        finally:
            process.kill()
        printed = process.stdout.read()

    assert printed == ""
    assert any(begun in line["event"] for line in lines)
    assert any(stopping in line.get("message", line["event"]) for line in lines)
    assert all({"level", "timestamp"} <= line.keys() for line in lines)


def start(role: str, *, journal: Path) -> "subprocess.Popen[str]":
    """Start a process as a deployment does."""
    environ = os.environ | {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "LOG_FORMAT": "json",
        "JOURNAL_DIR": str(journal),
        "HOST": "127.0.0.1",
        "PORT": "0",
    }
    return subprocess.Popen(
        [ROOT / "deploy/run", role],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
