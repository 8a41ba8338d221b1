"""How a command is given one of our keys at a provider."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError


def add_key_options(parser: ArgumentParser) -> None:
    """Take the key itself, or the file that has it: others on the machine see command lines."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--api-key", help="our key at the provider; others may see it here")
    given.add_argument(
        "--api-key-file", metavar="PATH", help="a file that holds it; - for standard input"
    )


def read_key(options: dict[str, Any]) -> str:
    """Return the key. Raises CommandError if its file has none or can't be read."""
    path: str | None = options["api_key_file"]
    if path is None:
        return str(options["api_key"])
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The file of --api-key-file can't be read: {error}.") from error
    if not text.strip():
        raise CommandError("The file of --api-key-file is empty.")
    return text.strip()
