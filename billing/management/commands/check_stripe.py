"""Walk what the product assumes of Stripe against an account in test mode."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.stripe_api.assumptions import Walk, run_walk
from billing.stripe_inbox.handlers import HANDLERS


class Command(BaseCommand):
    """Print a line for each assumption; exit 1 if Stripe differs."""

    help = (
        "Walk the assumptions of docs/stripe-assumptions.md against Stripe, with a key of test "
        "mode. A person pays one Checkout; everything else is done and undone by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--person-s",
            type=int,
            default=600,
            help="how long to wait for the person who pays; 0 leaves that check out",
        )

    def handle(self, *, person_s: int, **options: Any) -> None:
        if settings.STRIPE_LIVE_MODE or "_test_" not in settings.STRIPE_SECRET_KEY:
            raise CommandError("This needs a key of test mode: it makes payments and disputes.")
        walk = Walk(report=self.stdout.write, person_s=person_s, kinds=list(HANDLERS))
        differing = run_walk(walk)
        if differing:
            raise CommandError(f"Stripe differs from {differing} assumptions.")
        self.stdout.write("Stripe is as the product assumes.")
