"""Compare roll-ups with receipts from a shell, or make them anew."""

import sys
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.desk.commands import RecordedCommand
from billing.rollups.rebuild import find_differences, rebuild
from common.progress import LongCommand

# How many wrong rows are printed.
SHOWN = 20
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


def instant(text: str) -> datetime:
    """Read a day or an instant; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no day or instant, such as 2026-03-31.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Command(RecordedCommand, LongCommand):
    """Exit 0 if afterwards every row is the sum of its receipts, else print some and exit 1."""

    recorded = ("since", "until", "check")
    when_stopped = (
        "Roll-ups are as they were: run it again, maybe for fewer days (--since, --until)."
    )
    help = "Make roll-ups anew from receipts, tell which were wrong, and check the result."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=instant, default=BEGINNING, help="Such as 2026-03-31.")
        parser.add_argument("--until", type=instant, help="Before it; now unless given.")
        parser.add_argument("--check", action="store_true", help="Compare only, change nothing.")

    def handle(
        self, *, since: datetime, until: datetime | None, check: bool, **options: Any
    ) -> None:
        until = until or timezone.now()
        if since >= until:
            raise CommandError(f"{since} is not before {until}.")
        if not check:
            wrong = rebuild(since, until)
            self._print(f"Made anew. Wrong before: {len(wrong)} rows.", wrong)
        wrong = find_differences(since, until)
        self._print(f"Wrong now: {len(wrong)} rows.", wrong)
        if wrong:
            sys.exit(1)

    def _print(self, sentence: str, rows: list[Any]) -> None:
        for row in rows[:SHOWN]:
            self.stderr.write(str(row))
        self.stdout.write(sentence)
