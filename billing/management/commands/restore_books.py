"""Fill an empty database from a copy of the books."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from billing.upkeep.dumps import DumpFailed, restore
from common.progress import LongCommand, shown_by


class Command(LongCommand):
    """`restore_books FILE`"""

    when_stopped = "The database is empty as it was: run it again."
    help = "Fill an empty database from a file that `backup_books` wrote: all of it, or nothing."
    # There are no tables yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        show = shown_by(self, verbosity=options["verbosity"])
        try:
            restore(options["file"], on_progress=show)
        except DumpFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"restored {options['file']}. Next: `migrate`, `rebuild_wallet` and `audit_money`."
        )
