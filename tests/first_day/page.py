"""The commands of the first day, as the page has them."""

import re
from collections.abc import Iterator

BLOCK = re.compile(r"^```sh first-day\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_blocks(page: str) -> list[list[str]]:
    """Return the commands of each marked block, in the order of the page."""
    return [list(split_commands(block)) for block in BLOCK.findall(page)]


def split_commands(block: str) -> Iterator[str]:
    """Yield commands, each with the lines that it goes on in; comments of their own are left out.

    Raises ValueError if the last goes on nowhere.
    """
    command = ""
    for line in block.splitlines():
        if not command and (not line.strip() or line.startswith("#")):
            continue
        command += line + "\n"
        if not line.endswith("\\"):
            yield command.rstrip("\n")
            command = ""
    if command:
        raise ValueError(f"{command!r} goes on nowhere")
