"""Tell Stripe's catalogue of our packs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.catalogue.stripe_sync import sync_packs
from billing.exceptions import PaymentProviderError


class Command(BaseCommand):
    """Create and update Products and Prices; print what was done."""

    help = "Create and update a Product and Prices at Stripe for each pack. Safe to repeat."

    def handle(self, **options: Any) -> None:
        try:
            done = sync_packs()
        except PaymentProviderError as error:
            raise CommandError(f"Stopped half-way; run it again: {error}") from error
        for line in done:
            self.stdout.write(line)
        self.stdout.write(f"{len(done)} changes; the catalogue at Stripe is ours.")
