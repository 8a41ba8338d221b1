"""Check the books from a shell."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.audit.books import audit, audit_from
from billing.exceptions import PaymentProviderError, WalletRecovering
from billing.models import LedgerEntry, UsageRecord, Wallet
from billing.stripe_inbox.comparison import audit_stripe
from billing.wallet import keys
from common.progress import LongCommand, Progress, shown_by


class Command(LongCommand):
    """Exit 0 only if every invariant holds; otherwise print each finding and exit 1."""

    when_stopped = (
        "It changes nothing. With --from-shard 0 it goes shard by shard, and says where it was."
    )
    help = "Check that the books add up, in PostgreSQL and against Redis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at-rest",
            action="store_true",
            help="Also demand that nothing is under way: no hold, no unbooked event.",
        )

        part = parser.add_mutually_exclusive_group()
        part.add_argument(
            "--shard",
            type=int,
            choices=range(keys.SHARDS),
            metavar=f"0-{keys.SHARDS - 1}",
            help="Of PostgreSQL's books, look only at those of one sixteenth of the wallets.",
        )

        part.add_argument(
            "--from-shard",
            type=int,
            choices=range(keys.SHARDS),
            metavar=f"0-{keys.SHARDS - 1}",
            help="Look at one sixteenth after another from this one on, each by itself; if it is "
            "stopped, it says with which to go on.",
        )

        parser.add_argument(
            "--stripe",
            action="store_true",
            help="Also compare every charge, refund and dispute at Stripe with its order.",
        )

    def handle(
        self,
        *,
        at_rest: bool,
        shard: int | None,
        from_shard: int | None,
        stripe: bool,
        **options: Any,
    ) -> None:
        show = shown_by(self, verbosity=options["verbosity"])
        try:
            if from_shard is None:
                count = self._print(audit(at_rest=at_rest, shard=shard, on_progress=show))
            else:
                count = self._audit_from(from_shard, at_rest=at_rest, show=show)
            if stripe:
                count += self._print(audit_stripe())
        except (WalletRecovering, PaymentProviderError) as error:
            raise CommandError(f"Not checked: {error}") from error
        if count:
            self.stderr.write(f"{count} findings.")
            sys.exit(1)
        where = f" in shard {shard}" if shard is not None else ""
        where = f" from shard {from_shard} on" if from_shard else where
        self.stdout.write(
            f"Every invariant holds{where}: "
            f"{Wallet.objects.count():,} wallets, "
            f"{LedgerEntry.objects.count():,} ledger entries, "
            f"{UsageRecord.objects.count():,} receipts."
        )

    def _audit_from(self, first: int, *, at_rest: bool, show: Progress) -> int:
        """Audit from a shard on and return how many findings there were."""
        count = 0
        self.when_stopped = f"It changes nothing. Go on with --from-shard {first}."
        for shard, findings in audit_from(first, at_rest=at_rest, on_progress=show):
            count += self._print(findings)
            self.when_stopped = (
                f"{count} findings in shards {first} to {shard}. It changes nothing. "
                f"Go on with --from-shard {shard + 1}."
            )
        return count

    def _print(self, findings: list[Any]) -> int:
        for finding in findings:
            self.stderr.write(str(finding))
        return len(findings)
