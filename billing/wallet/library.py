"""The function library: the parts in `lua/`, joined into the one source that Redis loads.

Redis reports an error's line in the joined source; `locate` finds the part and its line.
`python -m billing.wallet.library` prints it.
"""

import re
import sys
from functools import cache
from pathlib import Path

NAME = "tokenproxy_wallet"
FOLDER = Path(__file__).with_name("lua")
# In this order: a part sees the functions of the parts before it.
PARTS = (
    "library",
    "values",
    "convoy",
    "fence",
    "wallet",
    "api_key",
    "register",
    "member",
    "rates",
    "limits",
    "events",
    "admission",
    "holds",
    "settling",
    "debits",
    "inquiries",
    "calls",
    "restoring",
    "loading",
    "handover",
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
    """Return the sort key of libraries: every process prefers the greatest."""
    return library_version(source), source


def locate(error: str) -> str:
    """Replace each line of the library in an error of Redis by the part and its line.

    Wrong if the server has loaded the library of another release, whose lines differ.
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
