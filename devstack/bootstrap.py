"""Make `.venv` exactly what the requirement files say. Standard library only.

Run with the system's Python, before anything is installed. A stamp that is written last says which
files and which Python the environment was made from; without it, or with another, the environment
is made anew. A `.venv` that is a link belongs to someone else and is used as it is.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
OLDEST_PYTHON = (3, 11)


def main() -> int:
    if sys.version_info < OLDEST_PYTHON:
        return fail("Python 3.11 or newer is needed, this is {}.{}".format(*sys.version_info[:2]))
    if VENV.is_symlink() or is_current():
        return 0
    lock = ROOT / "var" / "bootstrap.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as descriptor:
        # A second make in the same checkout waits for the first.
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
    # In full: some requirements are for certain patch releases only.
    return f"{platform.python_version()} {hashlib.sha256(files).hexdigest()}\n"


def build() -> int:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        return fail(
            f"this Python has no module {missing[0]}. On Debian and Ubuntu: "
            f"apt-get install {package}"
        )
    print("Setting up .venv …", flush=True)
    try:
        if VENV.exists():
            shutil.rmtree(VENV)
        run([sys.executable, "-m", "venv", str(VENV)])
        run([str(VENV / "bin" / "python"), "-m", "pip", *pip_arguments()])
    except (OSError, subprocess.CalledProcessError) as error:
        return fail(f"setting up .venv failed: {error}")
    stamp_file().write_text(fingerprint())
    return 0


def pip_arguments() -> list[str]:
    """What to tell pip. The files name everything, so there is nothing for it to work out.

    Left to itself, pip looks for the newest release of a requirement with extras, such as
    coverage[toml], and refuses it for want of a hash as soon as that is not the pinned one.
    """
    files = [part for path in REQUIREMENTS for part in ("-r", str(path))]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    # Without a home there is nowhere to keep a cache, and pip would complain at length.
    home = os.environ.get("HOME", "")
    cache = [] if home and os.access(home, os.W_OK) else ["--no-cache-dir"]
    return ["install", "--require-hashes", "--no-deps", *quiet, *cache, *files]


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


def fail(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
