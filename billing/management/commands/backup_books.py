"""Write a copy of the books to a file, while the product runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from billing.upkeep.dumps import DumpFailed, dump
from common.progress import LongCommand, shown_by


class Command(RecordedCommand, LongCommand):
    """`backup_books FILE`"""

    recorded = ("file",)
    when_stopped = "No file was written: run it again."
    help = "Write a copy of the books to a new file, with pg_dump. It may run at any time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        show = shown_by(self, verbosity=options["verbosity"])
        try:
            size = dump(options["file"], on_progress=show)
        except DumpFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"wrote {options['file']}, {size:,} bytes")
