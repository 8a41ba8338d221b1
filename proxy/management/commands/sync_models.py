"""Import an upstream's list of models."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from proxy.errors import NotSynced
from proxy.models import Provider
from proxy.upstreams.providers.model_sync import apply_sync, plan_sync


class Command(RecordedCommand):
    """`sync_models PROVIDER [--prefix P] [--only PATTERN …] [--apply] [--activate]`"""

    recorded = ("provider", "prefix", "apply")
    help = "Compare an upstream's models with our routes; --apply imports what is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider")
        parser.add_argument("--prefix", default="", help="put before the provider's names")
        parser.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="PATTERN",
            help="import only names like gpt-4*; may be repeated",
        )
        parser.add_argument(
            "--apply", action="store_true", help="do it; without, only say what would change"
        )
        parser.add_argument(
            "--activate", action="store_true", help="switch the new routes on at once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what differs, and import it with `--apply`."""
        provider = Provider.objects.filter(name=options["provider"]).first()
        if provider is None:
            raise CommandError(f"There is no provider {options['provider']!r}.")
        try:
            sync = plan_sync(provider, prefix=options["prefix"], only=options["only"])
        except NotSynced as error:
            raise CommandError(str(error)) from error
        if options["apply"]:
            apply_sync(sync, is_active=options["activate"])
        for line in sync.lines():
            self.stdout.write(line)
        if not options["apply"]:
            self.stdout.write("Nothing was changed; --apply does it.")
