"""The function library: the parts in `lua/`, joined into the one source that Redis loads.

Redis names errors by the line of the joined source; `locate` says in which line of which part.
`python -m billing.wallet.library` prints it.
"""

import re
import sys
from functools import cache
from pathlib import Path

NAME = "tokenproxy_wallet"
FOLDER = Path(__file__).with_name("lua")
# In this order: a part sees the functions of those before it.
PARTS = (
    "library",
    "values",
    "fence",
    "wallet",
    "api_key",
    "register",
    "rates",
    "limits",
    "events",
    "admission",
    "holds",
    "settling",
    "debits",
    "inquiries",
    "restoring",
    "names",
)
LINE = re.compile(r"\buser_function:(\d+)")


@cache
def read_source() -> str:
    """Return the library as Redis loads it."""
    return "\n".join(read_part(part) for part in PARTS)


def read_part(part: str) -> str:
    """Return the text of a part."""
    return (FOLDER / f"{part}.lua").read_text()


def library_version(source: str) -> int:
    """Return the version that a library's source names; 0 if it names none."""
    found = re.search(r"^local VERSION = '(\d+)'$", source, re.MULTILINE)
    return int(found[1]) if found else 0


def rank(source: str) -> tuple[int, str]:
    """Return what orders libraries: the greatest goes before the others, whoever compares them."""
    return library_version(source), source


def locate(error: str) -> str:
    """Name the part and its line where an error of Redis names a line of the library.

    A server may have loaded the library of another release, whose lines are others.
    """
    return LINE.sub(lambda found: _find_line(int(found[1])) or found[0], error)


def _find_line(line: int) -> str | None:
    for part in PARTS:
        # The line break that joins two parts is an empty line.
        lines = read_part(part).count("\n") + 1
        if line <= lines:
            return f"{part}.lua:{line}"
        line -= lines
    return None


if __name__ == "__main__":
    sys.stdout.write(read_source())
