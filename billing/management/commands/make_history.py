"""Fill an empty shop with a history that adds up, to measure with."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from accounts.desk.commands import RecordedCommand
from accounts.models import User
from billing.exceptions import WalletRecovering
from billing.management.history import DOMAIN, History, make_history
from billing.models import Order, Wallet
from billing.upkeep.recovery import close_all, recover
from common.progress import LongCommand, Shown

# Nobody can be reached there (RFC 2606), so who has such an address is no customer.
RESERVED = ("@example.com", ".example.com", "@example.org", "@example.net", ".example", ".test")
MOST = {"records": 1_000_000_000, "wallets": 1_000_000, "days": 3_650, "seed": 1_000_000}


class Command(RecordedCommand, LongCommand):
    """Make customers, orders, receipts, entries, lots and roll-ups; refuse where people buy."""

    recorded = ("records", "wallets", "days", "seed")
    when_stopped = (
        "Nothing of the history is there, unless it came to the wallets in Redis: then all of it "
        "is, and a worker rebuilds them."
    )
    help = "Make a history of many requests that add up. Refuses where there are real customers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--records", type=int, default=10_000_000, help="Requests.")
        parser.add_argument("--wallets", type=int, default=10_000, help="Customers.")
        parser.add_argument("--days", type=int, default=90, help="Until now.")
        parser.add_argument("--seed", type=int, default=1, help="The same makes the same.")

    def handle(self, *, records: int, wallets: int, days: int, seed: int, **options: Any) -> None:
        for name, value in (
            ("records", records),
            ("wallets", wallets),
            ("days", days),
            ("seed", seed),
        ):
            if not 1 <= value <= MOST[name]:
                raise CommandError(f"--{name} must be between 1 and {MOST[name]:,}.")
        refuse_if_real(seed)
        show = Shown(self.stdout.write)
        make_history(History(records, wallets, days, seed, report=show))
        show("the wallets in Redis")
        try:
            close_all()
            recover(on_progress=show)
        except WalletRecovering as error:
            raise CommandError(f"All is made, but not in Redis: {error}") from error
        show(f"done: {records:,} requests of {wallets:,} customers")


def refuse_if_real(seed: int) -> None:
    """Raise CommandError where somebody could be a customer, or has this history already."""
    if settings.STRIPE_LIVE_MODE:
        raise CommandError("Refused: this shop takes real money.")
    reserved = Q()
    for ending in RESERVED:
        reserved |= Q(team__person__email__endswith=ending)
    real = Wallet.objects.exclude(reserved)
    if real.exists():
        raise CommandError(f"Refused: {real.count():,} wallets may be of real customers.")
    if Order.objects.exclude(stripe_charge_id="").exists():
        raise CommandError("Refused: somebody has paid here.")
    if User.objects.filter(email=f"1.{seed}@{DOMAIN}").exists():
        raise CommandError(f"Refused: the history of seed {seed} is here already.")
