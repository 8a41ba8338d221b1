"""Where the clients live: a Python environment and a Node project, both pinned by hashes."""

import hashlib
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from devstack.packages import Installer, InstallError, read_requirements

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-conformance"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements-conformance.txt"
NODE = Path(__file__).with_name("node")
STAMP = "tokenproxy-stamp"


def set_up_python() -> None:
    """Make the environment what its requirements say, if it is not."""
    wanted = f"{platform.python_version()} {_digest(REQUIREMENTS)}\n"
    stamp = VENV / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    requirements = read_requirements([REQUIREMENTS])
    print(f"Setting up .venv-conformance: {len(requirements)} packages", flush=True)
    venv.create(VENV, clear=True, with_pip=True)
    try:
        Installer(VENV, uv=Path(sys.executable).with_name("uv")).install(requirements)
    except InstallError as error:
        sys.exit(f"error: setting up .venv-conformance failed: {error}")
    stamp.write_text(wanted)


def set_up_node() -> str | None:
    """Install the Node project; return why that is impossible, None if it is done."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "node and npm are not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").partition(".")[0]) < 20:
        return "node is older than 20"
    wanted = _digest(NODE / "package-lock.json") + "\n"
    stamp = NODE / "node_modules" / STAMP
    if not (stamp.exists() and stamp.read_text() == wanted):
        print("Setting up tests/conformance/node …", flush=True)
        _run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], NODE)
        stamp.write_text(wanted)
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
