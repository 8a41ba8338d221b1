"""Write our packs to Stripe's catalogue."""

from typing import Any

from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from billing.catalogue.pack_prices import list_unproven
from billing.catalogue.stripe_sync import sync_packs
from billing.exceptions import PaymentProviderError
from common.currencies import UNPROVEN_REASON


class Command(RecordedCommand):
    """Create and update Products and Prices; print what was done."""

    help = "Create and update a Product and Prices at Stripe for each pack. Safe to repeat."

    def handle(self, **options: Any) -> None:
        try:
            done = sync_packs()
        except PaymentProviderError as error:
            raise CommandError(f"Stopped half-way; run it again: {error}") from error
        for line in done:
            self.stdout.write(line)
        for name in list_unproven():
            self.stderr.write(f"{name}: not told to Stripe. {UNPROVEN_REASON}")
        self.stdout.write(f"{len(done)} changes; the catalogue at Stripe is ours.")
