"""`make lint-more`: the linters of Lua, style sheets and JavaScript.

They are not Python packages: Node's are installed under `var/lint-more` as `package-lock.json` pins
them, luacheck comes from the system. A linter that is missing and can't be installed is named, and
the target fails.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from devstack.environment import ROOT
from devstack.errors import LaunchError
from devstack.npm import ensure_node, install_packages
from devstack.tools import Tool, ensure_tool

SOURCE = Path(__file__).parent
# Two folders deep, like the source: the patterns of stylelint.config.js are relative to it.
FOLDER = ROOT / "var" / "lint-more"
LUACHECK = Tool(("luacheck",), "lua-check", "the checks of Lua")
LUA = ("proxy/**/*.lua",)
# Its parts see each other's functions only once they are joined.
LIBRARY = "billing.wallet.library"
CSS = ("static/css/**/*.css", "sandbox/**/*.css")
JAVASCRIPT = ("static/js/**/*.js", "tests/conformance/node/*.js", "devstack/lint_more/*.js")


def luacheck() -> list[str]:
    config = str(SOURCE / "luacheckrc")
    tool = ensure_tool(LUACHECK)
    return [tool, "--no-color", "--config", config, str(join_library()), *find(LUA)]


def join_library() -> Path:
    """Write the wallet's function library as Redis loads it, and return where."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    joined = FOLDER / "wallet.lua"
    with joined.open("wb") as file:
        subprocess.run([sys.executable, "-m", LIBRARY], cwd=ROOT, stdout=file, check=True)
    return joined


def stylelint() -> list[str]:
    return [*node_program("stylelint"), *find(CSS)]


def eslint() -> list[str]:
    return [*node_program("eslint"), *find(JAVASCRIPT)]


LINTERS = (luacheck, stylelint, eslint)


def find(patterns: Sequence[str]) -> list[str]:
    """Return the files that match. Raises LaunchError if there are none."""
    found = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    ours = [str(path.relative_to(ROOT)) for path in found if "node_modules" not in path.parts]
    if not ours:
        raise LaunchError(f"no file is like {' or '.join(patterns)}")
    return ours


def node_program(name: str) -> list[str]:
    """Return the start of a command line, after installing what it needs. Raises LaunchError."""
    node = ensure_node()
    install_packages(SOURCE, FOLDER)
    config = FOLDER / f"{name}.config.js"
    return [node, str(FOLDER / "node_modules" / ".bin" / name), "--config", str(config)]


def failures() -> Iterator[str]:
    """Run every linter; yield the name of each that finds an error or can't be run."""
    for command_of in LINTERS:
        name = command_of.__name__
        try:
            code = subprocess.run(command_of(), cwd=ROOT, check=False).returncode
        except LaunchError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 1
        print(f"--- {name}: {'FAILED' if code else 'ok'}", flush=True)
        if code:
            yield name


def main() -> int:
    failed = list(failures())
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
