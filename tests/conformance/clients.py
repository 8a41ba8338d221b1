"""Where the clients live: Python environments and Node projects, all pinned by hashes."""

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
NODE = Path(__file__).with_name("node")
AGENTS = Path(__file__).with_name("agents")
# What aider pins, the other clients want newer.
AIDER_VENV = ROOT / ".venv-aider"
STAMP = "tokenproxy-stamp"


def set_up_python() -> None:
    """Make the environment of most suites what its requirements say, if it is not."""
    _set_up_venv(VENV, ROOT / "requirements-conformance.txt")


def set_up_node() -> str | None:
    """Install the Node project; return why that is impossible, None if it is done."""
    missing = _find_missing_node()
    if missing is None:
        _set_up_npm(NODE)
    return missing


def set_up_agents() -> str | None:
    """Install the coding agents; return why that is impossible, None if it is done."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "the agents are pinned for Linux on x86-64"
    missing = _find_missing_node()
    if missing is None:
        _set_up_npm(AGENTS)
        _set_up_venv(AIDER_VENV, ROOT / "requirements-aider.txt")
    return missing


def _set_up_venv(folder: Path, requirements_file: Path) -> None:
    wanted = f"{platform.python_version()} {_digest(requirements_file)}\n"
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    requirements = read_requirements([requirements_file])
    print(f"Setting up {folder.name}: {len(requirements)} packages", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    try:
        Installer(folder, uv=Path(sys.executable).with_name("uv")).install(requirements)
    except InstallError as error:
        sys.exit(f"error: setting up {folder.name} failed: {error}")
    stamp.write_text(wanted)


def _find_missing_node() -> str | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "node and npm are not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").partition(".")[0]) < 20:
        return "node is older than 20"
    return None


def _set_up_npm(folder: Path) -> None:
    wanted = _digest(folder / "package-lock.json") + "\n"
    stamp = folder / "node_modules" / STAMP
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"Setting up tests/conformance/{folder.name} …", flush=True)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run([shutil.which("npm") or "npm", "ci", *quiet], folder)
        stamp.write_text(wanted)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
