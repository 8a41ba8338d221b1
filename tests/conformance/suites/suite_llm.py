"""The `llm` command line tool, set up as its manual says for an OpenAI-compatible API."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from target import API_KEY, BASE_URL, CHAT_MODEL

Llm = Callable[..., str]

MODELS = f"""
- model_id: conformance
  model_name: {CHAT_MODEL}
  api_base: "{BASE_URL}"
  api_key_name: openai
  supports_schema: true
  supports_tools: true
"""


@pytest.fixture
def llm(tmp_path: Path) -> Llm:
    """Run the tool with a home of its own; returns what it printed."""
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS)
    (tmp_path / "keys.json").write_text(json.dumps({"openai": API_KEY}))
    environ = {**os.environ, "LLM_USER_PATH": str(tmp_path)}

    def run(*arguments: str) -> str:
        tool = str(Path(sys.executable).with_name("llm"))
        done = subprocess.run(
            [tool, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_it_streams_an_answer(llm: Llm) -> None:
    assert len(llm("-m", "conformance", "say 7 words").split()) == 7


def test_it_waits_for_an_answer(llm: Llm) -> None:
    assert len(llm("-m", "conformance", "--no-stream", "say 7 words").split()) == 7


def test_it_goes_on_with_a_conversation_and_logs_its_usage(llm: Llm) -> None:
    llm("-m", "conformance", "say 7 words")
    llm("-c", "-m", "conformance", "say 5 words")

    [second] = json.loads(llm("logs", "-n", "1", "--json"))

    assert second["output_tokens"] == 5
    assert second["input_tokens"] > 11


def test_it_gets_an_answer_that_fits_a_schema(llm: Llm) -> None:
    answer = llm("-m", "conformance", "--schema", "city, days int", "'Oslo' for 3 days")

    assert json.loads(answer) == {"city": "Oslo", "days": 3}


def test_it_runs_a_function_that_the_model_calls(llm: Llm) -> None:
    code = "def add(a: int, b: int) -> int:\n    return a + b\n"

    shown = llm("-m", "conformance", "--functions", code, "--no-stream", "add 30 and 12")

    assert shown
    logged = llm("logs", "-n", "2")
    assert "42" in logged
