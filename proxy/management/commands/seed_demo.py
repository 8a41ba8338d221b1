"""Fill a new shop for a demonstration on this machine."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from proxy.errors import InvalidProvider
from proxy.upstreams.providers.demo import seed


class Command(RecordedCommand):
    """Make missing packs, models, a provider, a customer and a member of staff. Safe to repeat."""

    help = "Fill a new shop for a demonstration. Needs SANDBOX_UPSTREAM_URL and _KEY. Repeatable."

    def handle(self, **options: Any) -> None:
        try:
            url, key = os.environ["SANDBOX_UPSTREAM_URL"], os.environ["SANDBOX_UPSTREAM_KEY"]
        except KeyError as error:
            raise CommandError(f"The setting {error.args[0]} is required.") from error
        password_file = Path(settings.VAR_DIR) / "demo-passwords"
        try:
            logins = seed(upstream_url=url, upstream_key=key, password_file=password_file)
        except InvalidProvider as error:
            raise CommandError(str(error)) from error
        for email, password in logins.items():
            who = "Staff" if email.startswith("staff") else "Customer"
            self.stdout.write(f"{who}: {email} / {password or '(a password of your own)'}")
