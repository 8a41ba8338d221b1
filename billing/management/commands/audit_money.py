"""Check the books from a shell."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.exceptions import WalletRecovering
from billing.models import LedgerEntry, UsageRecord, Wallet
from billing.services.audit import audit


class Command(BaseCommand):
    """Exit 0 only if every invariant holds; else name each account and request that fails."""

    help = "Check that the books add up, in PostgreSQL and against Redis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at-rest",
            action="store_true",
            help="Also demand that nothing is under way: no hold, no unbooked event.",
        )

    def handle(self, *, at_rest: bool, **options: Any) -> None:
        try:
            findings = audit(at_rest=at_rest)
        except WalletRecovering as error:
            raise CommandError(f"Not checked: {error}") from error
        for finding in findings:
            self.stderr.write(str(finding))
        if findings:
            self.stderr.write(f"{len(findings)} findings.")
            sys.exit(1)
        self.stdout.write(
            f"Every invariant holds: {Wallet.objects.count():,} wallets, "
            f"{LedgerEntry.objects.count():,} ledger entries, "
            f"{UsageRecord.objects.count():,} receipts."
        )
