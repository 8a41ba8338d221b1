"""Copies of the books: PostgreSQL's own dumps, made while the product runs.

A dump is one snapshot of all tables. Redis is not part of it: what it holds follows from the books,
and is rebuilt from them. What was booked after the dump is not in it.
"""

import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import connection

from billing.exceptions import BillingError
from common.progress import Progress, unseen

# What the tools say of a table whose rows they copy.
TABLE = re.compile(r'(?:contents of|data for) table "(?:public\.)?([^"]+)"')
# Of what a tool said, so many lines tell why it failed.
LINES = 20


class DumpFailed(BillingError):
    """PostgreSQL's tools could not do it, or it would overwrite something."""


def dump(path: Path, *, on_progress: Progress = unseen) -> int:
    """Write a dump of the database to a new file, for its owner alone. Returns its bytes.

    `on_progress` is told of each table.

    Raises DumpFailed. The file is there whole or not at all.
    """
    if path.exists():
        raise DumpFailed(f"{path} exists already.")
    part = path.with_name(f"{path.name}.part")
    try:
        part.touch(mode=0o600)
        _run("pg_dump", "--format=custom", f"--file={part}", on_progress=on_progress)
        # Reads all of its table of contents.
        _run("pg_restore", "--list", str(part), is_quiet=True)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        size = part.stat().st_size
        part.rename(path)
    except OSError as error:
        raise DumpFailed(f"{path} can't be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return size


def restore(path: Path, *, on_progress: Progress = unseen) -> None:
    """Fill an empty database from a dump, all of it or nothing. Raises DumpFailed."""
    if not path.is_file():
        raise DumpFailed(f"There is no file {path}.")
    if tables := connection.introspection.table_names():
        raise DumpFailed(
            f"The database has {len(tables)} tables. A dump is restored into an empty one."
        )
    # The tools have connections of their own.
    connection.close()
    database = connection.settings_dict["NAME"]
    options = ("--single-transaction", "--exit-on-error", "--no-owner", f"--dbname={database}")
    _run("pg_restore", *options, str(path), on_progress=on_progress)


def _run(tool: str, *options: str, is_quiet: bool = False, on_progress: Progress = unseen) -> None:
    """Run one of PostgreSQL's tools, which connects as the product does. Raises DumpFailed."""
    words = [] if on_progress is unseen else ["--verbose"]
    try:
        process = subprocess.Popen(
            [tool, *words, *options],
            env=os.environ | _address() | {"LC_ALL": "C.UTF-8"},
            stdout=subprocess.DEVNULL if is_quiet else None,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError as error:
        raise DumpFailed(
            f"{tool} is not installed: it comes with PostgreSQL's client, of the server's version."
        ) from error
    with process:
        try:
            said = _listen(process.stderr or (), on_progress)
        except BaseException:
            # Whoever stops us stops it, too.
            process.kill()
            raise
    if process.returncode:
        raise DumpFailed(f"{tool} failed: {said}")


def _listen(lines: Iterable[str], on_progress: Progress) -> str:
    """Tell of each table that a tool comes to, and return its last other lines."""
    said: deque[str] = deque(maxlen=LINES)
    for line in lines:
        if found := TABLE.search(line):
            on_progress(f"table {found[1]}")
        else:
            said.append(line)
    return "".join(said).strip()


def _address() -> dict[str, str]:
    """Return the variables that lead the tools to the database: others see command lines."""
    database = settings.DATABASES["default"]
    given = {
        "PGHOST": database["HOST"],
        "PGPORT": database["PORT"],
        "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"],
        "PGDATABASE": connection.settings_dict["NAME"],
        "PGSSLMODE": database["OPTIONS"].get("sslmode"),
        "PGSSLROOTCERT": database["OPTIONS"].get("sslrootcert"),
        "PGSSLCERT": database["OPTIONS"].get("sslcert"),
        "PGSSLKEY": database["OPTIONS"].get("sslkey"),
    }
    return {name: str(value) for name, value in given.items() if value}
