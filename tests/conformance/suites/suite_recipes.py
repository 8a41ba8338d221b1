"""The recipes of the documentation, run as its page prints them."""

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from target import API_KEY, BASE_URL

ROOT = Path(__file__).resolve().parents[3]
CONFORMANCE = ROOT / "tests" / "conformance"
AGENTS = CONFORMANCE / "agents" / "node_modules"
# What a reader has installed, by the name that the recipe calls.
PROGRAMS = {
    "llm": Path(sys.executable).with_name("llm"),
    "codex": AGENTS / ".bin" / "codex",
    "opencode": AGENTS / "opencode-linux-x64-baseline" / "bin" / "opencode",
    "aider": ROOT / ".venv-aider" / "bin" / "aider",
}
EXAMPLE = re.compile(r'<code data-example="([^"]+)">(.*?)</code></pre>', re.DOTALL)
PYTHON = ("openai-python", "openai-stream", "recipe-langchain", "recipe-pydantic-ai")
NODE = ("recipe-openai-node", "recipe-ai-sdk")
# Of each tool, where its configuration goes.
SHELL = {
    "recipe-llm": {},
    "recipe-codex": {"recipe-codex-config": "home/.codex/config.toml"},
    "recipe-opencode": {"recipe-opencode-config": "project/opencode.json"},
    "recipe-aider": {},
}
NOT_RUN = ("config-open-webui", "config-librechat", "config-continue")
TIMEOUT_S = 120

PAGE = httpx.get(urljoin(BASE_URL, "/docs/recipes/"))
if PAGE.status_code == 404:
    pytest.skip("the API under test has no documentation", allow_module_level=True)
PRINTED = {
    name: html.unescape(text).replace("YOUR_API_KEY", API_KEY)
    for name, text in EXAMPLE.findall(PAGE.text)
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project under git, as agents want one, beside a home and the programs."""
    folder = tmp_path / "project"
    subprocess.run(["git", "init", "--quiet", folder], check=True)  # noqa: S607
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    for name, program in PROGRAMS.items():
        (tmp_path / "bin" / name).symlink_to(program)
    return folder


def run(command: list[str], folder: Path, **environ: str) -> str:
    """Run a recipe to its end; returns what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_recipe_is_run_or_said_not_to_be() -> None:
    configurations = {name for files in SHELL.values() for name in files}

    assert PRINTED.keys() == {*PYTHON, *NODE, *SHELL, *configurations, *NOT_RUN}
    for name in NOT_RUN:
        assert "not run</span>" in PAGE.text.split(f'data-example="{name}"')[0][-1500:]


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_recipe_prints_an_answer(name: str, tmp_path: Path) -> None:
    assert run([sys.executable, "-c", PRINTED[name]], tmp_path).strip()


@pytest.mark.parametrize("name", NODE)
def test_a_node_recipe_prints_an_answer(name: str) -> None:
    node = shutil.which("node") or "node"

    # Its packages are looked for from where it runs.
    output = run([node, "--input-type=module", "--eval", PRINTED[name]], CONFORMANCE / "node")

    assert output.strip()


@pytest.mark.parametrize("name", SHELL)
def test_a_tools_recipe_prints_an_answer(name: str, project: Path, tmp_path: Path) -> None:
    for configuration, place in SHELL[name].items():
        file = tmp_path / place
        file.parent.mkdir(exist_ok=True)
        file.write_text(PRINTED[configuration])

    output = run(
        ["bash", "-euo", "pipefail", "-c", PRINTED[name]],
        project,
        HOME=str(tmp_path / "home"),
        PWD=str(project),
        PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        # Lists of models and prices that they would download, and questions that nobody answers.
        OPENCODE_DISABLE_MODELS_FETCH="1",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        AIDER_YES_ALWAYS="true",
        AIDER_CHECK_UPDATE="false",
        AIDER_ANALYTICS="false",
        AIDER_SHOW_MODEL_WARNINGS="false",
        AIDER_SHOW_RELEASE_NOTES="false",
    )

    assert output.strip()
