"""Issue an API key from a shell."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.desk.commands import RecordedCommand
from accounts.teams.members import own_seat
from billing.exceptions import BillingError
from billing.keys.api_keys import issue_api_key
from billing.keys.networks import BadNetwork
from billing.keys.settings import MOST_PER_MINUTE, KeySettings, TooManyModels
from billing.management.people import get_or_create_user
from common.credits import MAX_CREDITS

# Options that are numbers, with the least and the greatest value of each.
NUMBERS = {
    "requests_per_minute": (1, MOST_PER_MINUTE),
    "tokens_per_minute": (1, MOST_PER_MINUTE),
    "concurrent_requests": (1, MOST_PER_MINUTE),
    "lifetime_cap_credits": (0, MAX_CREDITS),
    "monthly_cap_credits": (0, MAX_CREDITS),
}


class Command(RecordedCommand):
    """Print a new secret alone on the last line."""

    recorded = ("email", "name")
    help = "Issue an API key; the secret is alone on the last line. Creates the user if new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="Command line")
        for option in NUMBERS:
            parser.add_argument(f"--{option.replace('_', '-')}", type=int, metavar="N")
        parser.add_argument("--expires-in-days", type=int, metavar="DAYS")
        parser.add_argument("--model", action="append", default=[], help="allow only these models")
        parser.add_argument("--network", action="append", default=[], help="allow only from here")

    def handle(self, *, email: str, name: str, **options: Any) -> None:
        settings = read_settings(options)
        user = get_or_create_user(email)
        try:
            key, secret = issue_api_key(own_seat(user), name=name, settings=settings)
        except (BillingError, BadNetwork, TooManyModels) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"API key {key.hint} for {user.email}, shown this once:")
        self.stdout.write(secret)


def read_settings(options: dict[str, Any]) -> KeySettings:
    """Return the settings that were typed. Raises CommandError for a number out of bounds."""
    for name, (least, most) in NUMBERS.items():
        check_number(options, name, least=least, most=most)
    # A hundred years; a much larger number would overflow a date.
    check_number(options, "expires_in_days", least=1, most=36_500)
    days = options["expires_in_days"]
    return KeySettings(
        expires_at=timezone.now() + timedelta(days=days) if days else None,
        allowed_models=tuple(options["model"]),
        allowed_networks=tuple(options["network"]),
        **{name: options[name] for name in NUMBERS},
    )


def check_number(options: dict[str, Any], name: str, *, least: int, most: int) -> None:
    """Raise CommandError for an option out of bounds."""
    if options[name] is not None and not least <= options[name] <= most:
        raise CommandError(f"--{name.replace('_', '-')} must be between {least} and {most:,}.")
