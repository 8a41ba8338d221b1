"""Rebuild the wallets in Redis from a shell."""

from typing import Any

from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from billing.exceptions import WalletRecovering
from billing.upkeep.loading import load_rest
from billing.upkeep.recovery import close_all, recover
from common.progress import LongCommand, shown_by


class Command(RecordedCommand, LongCommand):
    """Close every fence and rebuild the wallets; the API answers 503 meanwhile."""

    when_stopped = (
        "Shards that are not rebuilt stay closed: a worker rebuilds them within seconds. Without "
        "one, run this again."
    )
    help = "Rebuild all wallets in Redis from PostgreSQL, the stream, the holds and the journals."

    def handle(self, **options: Any) -> None:
        show = shown_by(self, verbosity=options["verbosity"])
        try:
            close_all()
            shards = recover(on_progress=show)
            load_rest(on_progress=show)
        except WalletRecovering as error:
            raise CommandError(str(error)) from error
        if shards:
            self.stdout.write(f"Rebuilt {len(shards)} shards.")
        else:
            self.stdout.write("A worker is rebuilding the wallets already.")
