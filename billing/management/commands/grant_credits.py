"""Give credits from a shell."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.desk.commands import RecordedCommand
from billing.exceptions import BillingError
from billing.ledger.wallets import grant_credits, wallet_of
from billing.management.people import get_or_create_user


class Command(RecordedCommand):
    """Post a grant to a customer's ledger."""

    recorded = ("email", "credits", "reason")
    help = "Give credits to a customer. Creates the user if new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("credits", type=int)
        parser.add_argument("--reason", required=True)

    def handle(self, *, email: str, reason: str, **options: Any) -> None:
        user = get_or_create_user(email)
        try:
            entry = grant_credits(wallet_of(user), credits=options["credits"], reason=reason)
        except BillingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Granted {entry.amount_credits:,} credits to {user.email}; "
            f"posted balance {entry.balance_credits:,}."
        )
