"""Make the role that the product serves as."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection

from accounts.desk.commands import RecordedCommand
from billing.upkeep.database_roles import make_serving_role


class Command(RecordedCommand):
    """Make the role that DATABASE_URL names, as the owner that DATABASE_OWNER_URL names."""

    help = (
        "Make PostgreSQL's role of DATABASE_URL, and give it no more than serving needs. Run as the"
        " owner of the tables (DATABASE_OWNER_URL), after `migrate`. Safe to repeat."
    )

    def handle(self, **options: Any) -> None:
        serving = urlsplit(settings.DATABASE_SERVING_URL).username
        owner = connection.settings_dict["USER"]
        if not serving or serving == owner:
            raise CommandError(
                f"{owner} both owns the tables and serves. Name the owner in DATABASE_OWNER_URL,"
                " and another role in DATABASE_URL."
            )
        is_new = make_serving_role(settings.DATABASE_SERVING_URL)
        self.stdout.write(
            f"{serving} {'was made and' if is_new else 'was there; it'} may serve, and no more."
        )
