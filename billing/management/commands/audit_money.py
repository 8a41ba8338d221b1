"""Check the books from a shell."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.audit.books import audit
from billing.exceptions import PaymentProviderError, WalletRecovering
from billing.models import LedgerEntry, UsageRecord, Wallet
from billing.stripe_inbox.comparison import audit_stripe
from billing.wallet import keys
from common.progress import LongCommand, shown_by


class Command(LongCommand):
    """Exit 0 only if every invariant holds; otherwise print each finding and exit 1."""

    when_stopped = "It changes nothing. With --shard N it looks at a sixteenth of the books."
    help = "Check that the books add up, in PostgreSQL and against Redis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at-rest",
            action="store_true",
            help="Also demand that nothing is under way: no hold, no unbooked event.",
        )

        parser.add_argument(
            "--shard",
            type=int,
            choices=range(keys.SHARDS),
            metavar=f"0-{keys.SHARDS - 1}",
            help="Of PostgreSQL's books, look only at those of one sixteenth of the wallets.",
        )

        parser.add_argument(
            "--stripe",
            action="store_true",
            help="Also compare every charge, refund and dispute at Stripe with its order.",
        )

    def handle(self, *, at_rest: bool, shard: int | None, stripe: bool, **options: Any) -> None:
        show = shown_by(self, verbosity=options["verbosity"])
        try:
            findings = audit(at_rest=at_rest, shard=shard, on_progress=show)
            if stripe:
                findings += audit_stripe()
        except (WalletRecovering, PaymentProviderError) as error:
            raise CommandError(f"Not checked: {error}") from error
        for finding in findings:
            self.stderr.write(str(finding))
        if findings:
            self.stderr.write(f"{len(findings)} findings.")
            sys.exit(1)
        self.stdout.write(
            f"Every invariant holds{'' if shard is None else f' in shard {shard}'}: "
            f"{Wallet.objects.count():,} wallets, "
            f"{LedgerEntry.objects.count():,} ledger entries, "
            f"{UsageRecord.objects.count():,} receipts."
        )
