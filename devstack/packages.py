"""Install hashed requirement files into a virtual environment. Standard library only.

uv does it in a tenth of pip's time, and has a hash like every package; pip does it if there is no
uv or uv fails. Packages are installed in batches, so that progress can be shown and an interrupted
installation continues. No address of a registry is ever shown.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

AT_ONCE = 8
# One requirement, up to the beginning of the next.
REQUIREMENT = re.compile(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9#]|\Z)", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"\w+://\S+|host='[^']*'|'[\w.-]+', port=\d+")
FULL = "the disk is full"
AWAY = "the package registry can't be reached: check the network, or how pip is set up"
# Reasons for which another installer would fail, too.
FINAL = {FULL, AWAY}
NONE: Mapping[str, str] = MappingProxyType({})
# The first pattern that is found in an installer's output gives the reason.
REASONS = (
    (r"No space left on device|os error 28|Disk quota exceeded", FULL),
    (r"do not match the hashes|hash mismatch", "a package is not the one that was locked"),
    (
        r"name resolution|name or service not known|dns error|connection refused|unreachable"
        r"|newconnectionerror|connecttimeout|timed out|failed to fetch|error sending request"
        r"|client error \(connect\)|connection (?:was )?(?:reset|broken|aborted)|max retries",
        AWAY,
    ),
    (
        r"no matching distribution|has no wheels|no solution found|not find a version",
        "the package registry lacks what was locked, or this platform has no package of it",
    ),
)


class InstallError(Exception):
    """Packages could not be installed. The message says why, in one sentence."""


@dataclass(frozen=True)
class Requirement:
    """One entry of a requirement file, with its hashes."""

    name: str
    text: str


def read_requirements(files: Sequence[Path]) -> list[Requirement]:
    """Return what the files name, once each. Raises InstallError if they disagree."""
    found: dict[tuple[str, str], Requirement] = {}
    for path in files:
        for match in REQUIREMENT.finditer(path.read_text()):
            entry = Requirement(re.split(r"[=\[ ;]", match[0], maxsplit=1)[0], match[0])
            # Different versions of Python may need different versions of a package.
            pin, _, marker = match[0].partition("\\")[0].partition(";")
            known = found.setdefault((entry.name, marker.strip()), entry)
            if not known.text.startswith(pin.strip()):
                raise InstallError(f"the requirement files disagree on {entry.name}")
    return list(found.values())


class Installer:
    """Installs into one environment. `uv` is a program to use; by default one is installed."""

    def __init__(self, venv: Path, *, uv: Path | None = None) -> None:
        self.venv = venv
        self.python = venv / "bin" / "python"
        self._uv = uv
        self._progress = venv / "packages-done"
        home = os.environ.get("HOME", "")
        # Without a home there is no place for a cache, and uv and pip print long warnings.
        self._has_cache = bool(home) and os.access(home, os.W_OK)

    def install(self, requirements: Sequence[Requirement]) -> None:
        """Install all that an interrupted run has not installed yet. Raises InstallError."""
        done = self._read_progress()
        total = len(requirements)
        if done:
            print(f"  going on after {done} of {total} packages", flush=True)
        if done < total:
            self._find_uv(requirements)
        for start in range(done, total, AT_ONCE):
            batch = requirements[start : start + AT_ONCE]
            names = ", ".join(requirement.name for requirement in batch)
            print(f"  [{start + len(batch):3} of {total}] {names}", flush=True)
            # The first batch may have been interrupted, and half a package looks complete.
            self._install(batch, again=start == done > 0)
            self._progress.write_text(f"{start + len(batch)}\n")
        self._progress.unlink(missing_ok=True)

    def _read_progress(self) -> int:
        try:
            return int(self._progress.read_text())
        except (OSError, ValueError):
            return 0

    def _find_uv(self, requirements: Sequence[Requirement]) -> None:
        """Install uv first, from its own entry, if it is among them."""
        own = [requirement for requirement in requirements if requirement.name == "uv"]
        if self._uv is None and own:
            print("  uv, which installs the others", flush=True)
            try:
                # Building it from source would need a Rust compiler.
                self._run([*self._pip(), "--only-binary", "uv"], own)
            except InstallError as error:
                if str(error) in FINAL:
                    raise
                return
            self._uv = self.venv / "bin" / "uv"

    def _install(self, batch: Sequence[Requirement], *, again: bool) -> None:
        if self._uv is not None:
            try:
                settings = self._pip_settings
                # uv has no variable for this one.
                alone = ["--no-index"] if is_on(settings.get("no-index", "")) else []
                command = [*self._uv_pip(), *alone, *(["--reinstall"] if again else [])]
                self._run(command, batch, as_uv_takes_it(settings))
            except InstallError as error:
                if str(error) == FULL:
                    raise
                print(f"  uv can't ({error}); pip goes on", flush=True)
                self._uv, again = None, True
            else:
                return
        self._run([*self._pip(), *(["--force-reinstall"] if again else [])], batch)

    def _pip(self) -> list[str]:
        """Return pip's command line. The files name every package, so pip resolves nothing.

        Left to itself, pip looks for the newest release of a requirement with extras, such as
        coverage[toml], and refuses it for want of a hash as soon as that is not the pinned one.
        """
        command = [str(self.python), "-m", "pip", "install", "--require-hashes", "--no-deps"]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        return [*command, *quiet, *([] if self._has_cache else ["--no-cache-dir"])]

    def _uv_pip(self) -> list[str]:
        command = [str(self._uv), "pip", "install", "--python", str(self.python)]
        # As pip does, take the best match of several registries; the hashes prove it right.
        locked = ["--require-hashes", "--no-deps", "--index-strategy", "unsafe-best-match"]
        quiet = ["--quiet", "--no-progress", "--no-config"]
        return [*command, *locked, *quiet, *([] if self._has_cache else ["--no-cache"])]

    def _run(
        self, command: Sequence[str], batch: Sequence[Requirement], told: Mapping[str, str] = NONE
    ) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=self.venv) as file:
            file.write("".join(requirement.text for requirement in batch))
            file.flush()
            done = subprocess.run(
                [*command, "-r", file.name],
                cwd=self.venv,
                env={**told, **os.environ},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            raise InstallError(explain(done.stdout + done.stderr))

    @cached_property
    def _pip_settings(self) -> dict[str, str]:
        """Return the user's settings for pip: a mirror, a proxy, a certificate."""
        return read_pip_settings(self.python)


def read_pip_settings(python: Path) -> dict[str, str]:
    """Read pip's configuration files and variables. Variables win, as they do for pip.

    Raises InstallError if pip does not say what its files have.
    """
    listed = subprocess.run(
        [str(python), "-m", "pip", "config", "list"],
        # Wherever this was started may be gone, or have modules of pip's names.
        cwd=python.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        raise InstallError(f"pip does not tell its settings: {explain(listed.stderr)}")
    found: dict[str, dict[str, str]] = {}
    for line in listed.stdout.splitlines():
        section, _, rest = line.rpartition("=")[0].rpartition(".")
        value = line[len(section) + len(rest) + 2 :].strip("'\"")
        found.setdefault(section, {})[rest] = value.encode().decode("unicode_escape")
    variables = {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith("PIP_") and value
    }
    return {**found.get("global", {}), **found.get("install", {}), **variables}


def as_uv_takes_it(settings: Mapping[str, str]) -> dict[str, str]:
    """Translate pip's settings for uv, which reads none of them and must use the same registry.

    Returns environment variables: those of uv's that have the setting's meaning.
    """
    lists = {
        "UV_INDEX": " ".join(filter(is_there, settings.get("extra-index-url", "").split())),
        "UV_FIND_LINKS": ",".join(filter(is_there, settings.get("find-links", "").split())),
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
    }
    single = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "ALL_PROXY": settings.get("proxy", ""),
    }
    return {name: value for name, value in {**lists, **single}.items() if value}


def is_on(switch: str) -> bool:
    """Tell whether a setting of pip's is switched on."""
    return switch.lower() in {"1", "true", "yes", "on"}


def is_there(place: str) -> bool:
    """Tell whether a named folder exists: pip skips a missing one, uv fails."""
    parts = urlsplit(place)
    return parts.scheme not in {"", "file"} or Path(parts.path).is_dir()


def explain(said: str) -> str:
    """Return the reason for a failure in an installer's output, without addresses."""
    for pattern, reason in REASONS:
        if re.search(pattern, said, re.IGNORECASE):
            return reason
    words = [line.strip() for line in said.splitlines() if line.strip()]
    shown = " / ".join(words[-3:]) or "the installer failed without a word"
    return ADDRESS.sub("…", shown)


def show_error(error: BaseException) -> str:
    """Return any failure of a set-up in a sentence."""
    if isinstance(error, OSError):
        return explain(f"{error.strerror or error}")
    return str(error)
