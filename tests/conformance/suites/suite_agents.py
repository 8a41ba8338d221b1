"""Coding agents as installed, told nothing but address, key and model: they read and do."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from target import API_KEY, BASE_URL, CHAT_MODEL

ROOT = Path(__file__).resolve().parents[3]
AGENTS = ROOT / "tests" / "conformance" / "agents" / "node_modules"
CODEX = AGENTS / ".bin" / "codex"
OPENCODE = AGENTS / "opencode-linux-x64-baseline" / "bin" / "opencode"
AIDER = ROOT / ".venv-aider" / "bin" / "aider"
TIMEOUT_S = 120
WRITE = "echo done > written.txt"

CODEX_CONFIG = f"""
model = "{CHAT_MODEL}"
model_provider = "conformance"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.conformance]
name = "conformance"
base_url = "{BASE_URL}"
env_key = "CONFORMANCE_API_KEY"
wire_api = "responses"
"""
OPENCODE_CONFIG = {
    "autoupdate": False,
    "share": "disabled",
    "permission": {"bash": "allow", "edit": "allow"},
    "provider": {
        "conformance": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": BASE_URL, "apiKey": API_KEY},
            "models": {CHAT_MODEL: {"name": CHAT_MODEL}},
        }
    },
}

Run = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project under git, as agents want one."""
    folder = tmp_path / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)  # noqa: S607
    return folder


@pytest.fixture
def run(tmp_path: Path, project: Path) -> Run:
    """Run an agent in the project, with a home of its own; returns what it printed."""
    home = tmp_path / "home"
    home.mkdir()
    environ = {
        **os.environ,
        "HOME": str(home),
        "PWD": str(project),
        "CODEX_HOME": str(home),
        "CONFORMANCE_API_KEY": API_KEY,
        "OPENAI_API_KEY": API_KEY,
        "OPENAI_API_BASE": BASE_URL,
        # Lists of models and prices that they would download.
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    (home / "config.toml").write_text(CODEX_CONFIG)
    (project / "opencode.json").write_text(json.dumps(OPENCODE_CONFIG))

    def start(*command: object) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=project,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return start


def events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_codex_runs_a_command_and_goes_on_with_its_conversation(run: Run, project: Path) -> None:
    first = run(CODEX, "exec", "--json", f"Run '{WRITE}'")
    second = run(CODEX, "exec", "resume", "--last", "--json", "say 5 words")

    assert (project / "written.txt").read_text() == "done\n"
    for output in (first, second):
        [completed] = [one for one in events(output) if one["type"] == "turn.completed"]
        usage = completed["usage"]
        assert isinstance(usage, dict)
        assert usage["output_tokens"] > 0
        assert '"agent_message"' in output


def test_opencode_runs_a_command_and_answers(run: Run, project: Path) -> None:
    model = f"conformance/{CHAT_MODEL}"

    # It puts the words between quotation marks itself.
    output = run(OPENCODE, "run", "--model", model, "--format", "json", WRITE)

    assert (project / "written.txt").exists(), output
    told = events(output)
    assert [one for one in told if one["type"] == "text"]
    assert not [one for one in told if one["type"] == "error"]


def test_aider_answers_and_tells_what_it_used(run: Run) -> None:
    quiet = ("--no-pretty", "--no-fancy-input", "--no-check-update", "--no-analytics")
    alone = (
        "--no-gitignore",
        "--no-show-release-notes",
        "--no-show-model-warnings",
        "--yes-always",
    )

    output = run(
        AIDER, "--model", f"openai/{CHAT_MODEL}", *quiet, *alone, "--message", "say 7 words"
    )

    assert "7 received" in output
