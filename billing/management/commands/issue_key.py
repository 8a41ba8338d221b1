"""Issue an API key from a shell."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from billing.management.people import get_or_create_user
from billing.services.api_keys import issue_api_key


class Command(BaseCommand):
    """Print a new secret alone on the last line."""

    help = "Issue an API key; the secret is alone on the last line. Creates the user if new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="Command line")

    def handle(self, *, email: str, name: str, **options: Any) -> None:
        user = get_or_create_user(email)
        key, secret = issue_api_key(user, name=name)
        self.stdout.write(f"API key {key.hint} for {user.email}, shown this once:")
        self.stdout.write(secret)
