"""Make `.venv` exactly what the requirement files say. Standard library only.

Run with the system's Python, before anything is installed. A stamp that is written last says which
files and which Python the environment was made from. If it is missing or differs, the environment
is made anew, or continued if it was begun from the same files and Python. A `.venv` that is a link
is used as it is.
"""

import fcntl
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from devstack.packages import (
    Installer,
    InstallError,
    explain,
    read_requirements,
    show_error,
)

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
OLDEST_PYTHON = (3, 11)


def main() -> int:
    if sys.version_info < OLDEST_PYTHON:
        return fail("Python 3.11 or newer is needed, this is {}.{}".format(*sys.version_info[:2]))
    if VENV.is_symlink() or is_current():
        return 0
    try:
        return take_turns()
    except KeyboardInterrupt:
        return fail("interrupted; the next `make` goes on from there")
    except (OSError, InstallError) as error:
        return fail(f"setting up .venv failed: {show_error(error)}")


def take_turns() -> int:
    """Build the environment, unless another make in this checkout did so while this one waited."""
    lock = ROOT / "var" / "bootstrap.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return 0 if is_current() else build()


def is_current() -> bool:
    """Whether the environment was finished, from these files, by this Python."""
    try:
        return stamp_file().read_text() == fingerprint() and (VENV / "bin" / "python").exists()
    except OSError:
        return False


def stamp_file() -> Path:
    return VENV / "tokenproxy-stamp"


def fingerprint() -> str:
    files = b"".join(path.read_bytes() for path in REQUIREMENTS)
    # The full version, because some requirements are for certain patch releases only.
    return f"{platform.python_version()} {hashlib.sha256(files).hexdigest()}\n"


def build() -> int:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        return fail(
            f"this Python has no module {missing[0]}. On Debian and Ubuntu: "
            f"apt-get install {package}"
        )
    requirements = read_requirements(REQUIREMENTS)
    print(f"Setting up .venv: {len(requirements)} packages", flush=True)
    make_venv()
    Installer(VENV).install(requirements)
    stamp_file().write_text(fingerprint())
    return 0


def make_venv() -> None:
    """Make an empty environment, unless one was begun from these files by this Python."""
    begun = VENV / "tokenproxy-begun"
    if begun.exists() and begun.read_text() == fingerprint() and (VENV / "bin" / "pip").exists():
        return
    if VENV.exists():
        shutil.rmtree(VENV)
    run([sys.executable, "-m", "venv", str(VENV)])
    begun.write_text(fingerprint())


def run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise InstallError(explain(done.stdout + done.stderr))


def fail(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
