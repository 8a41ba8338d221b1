"""Programs that the tests need and pip can't install: Chromium and Node.

Run as `python -m devstack.tools`. As root on a system with apt it installs them; otherwise it says
how to, and fails.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from devstack.errors import LaunchError


@dataclass(frozen=True)
class Tool:
    """A program, by any of its names, and the package of Debian that has it."""

    names: tuple[str, ...]
    package: str
    purpose: str


CHROMIUM = Tool(
    ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "chromium",
    "the browser tests",
)
NODE = Tool(("node", "nodejs"), "nodejs", "the documentation's Node example")
TOOLS = (CHROMIUM, NODE)


def find_tool(tool: Tool) -> str | None:
    """Return the program's path."""
    return next((path for name in tool.names if (path := shutil.which(name))), None)


def ensure_tool(tool: Tool) -> str:
    """Return the program's path, after installing it if need be. Raises LaunchError."""
    found = find_tool(tool)
    if found is None:
        install(tool)
        found = find_tool(tool)
    if found is None:
        raise LaunchError(f"installed {tool.package}, but none of {tool.names} is on PATH")
    return found


def install(tool: Tool) -> None:
    """Install the package with apt. Raises LaunchError, saying how, where that can't be done."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LaunchError(
            f"{tool.names[0]} is missing, which {tool.purpose} need. Install it, for example "
            f"with: sudo apt-get update && sudo apt-get install -y {tool.package}"
        )
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", tool.package]):
        command = ["apt-get", *arguments]
        print(f"{tool.names[0]} is missing: {' '.join(command)}", flush=True)
        if subprocess.run(command, env=environ, check=False).returncode != 0:
            raise LaunchError(f"`{' '.join(command)}` failed")


def main() -> int:
    try:
        for tool in TOOLS:
            print(ensure_tool(tool))
    except LaunchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
