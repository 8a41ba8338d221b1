"""Compare roll-ups with receipts from a shell, or make them anew."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.desk.commands import RecordedCommand
from billing.models import UsageRecord
from billing.rollups.days import next_day
from billing.rollups.rebuild import Difference, find_differences, rebuild
from common.progress import LongCommand, shown_by

# How many wrong rows are printed.
SHOWN = 20
# A stop loses no more than the piece that is being made.
PIECE = timedelta(days=30)
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


def instant(text: str) -> datetime:
    """Read a day or an instant; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no day or instant, such as 2026-03-31.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _pieces(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield a time in pieces, each of which is made in a transaction of its own.

    What is before the first receipt, and a piece more, is one of them.
    """
    first = UsageRecord.objects.order_by("pk").values_list("ended_at", flat=True).first() or until
    while since < until:
        end = min(max(since, first - PIECE) + PIECE, until)
        end = min(next_day(end), until)
        yield since, end
        since = end


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
        show = shown_by(self, verbosity=options["verbosity"])
        before: list[Difference] = []
        wrong: list[Difference] = []
        pieces = list(_pieces(since, until))
        for done, (start, end) in enumerate(pieces):
            show(f"days from {start:%Y-%m-%d} on", done=done, of=len(pieces))
            before += [] if check else rebuild(start, end)
            # A span may be of two pieces.
            wrong += [each for each in find_differences(start, end) if each not in wrong]
            self.when_stopped = (
                f"Days before {end:%Y-%m-%d} are done, {len(wrong)} rows of them wrong. "
                f"Go on with --since {end:%Y-%m-%d}."
            )
        if not check:
            self._print(f"Made anew. Wrong before: {len(before)} rows.", before)
        self._print(f"Wrong now: {len(wrong)} rows.", wrong)
        if wrong:
            sys.exit(1)

    def _print(self, sentence: str, rows: list[Any]) -> None:
        for row in rows[:SHOWN]:
            self.stderr.write(str(row))
        self.stdout.write(sentence)
