"""Give a provider one more key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from proxy.errors import InvalidProvider
from proxy.management.key_options import add_key_options, read_key
from proxy.models import Provider
from proxy.upstreams.providers.setup import add_key


class Command(RecordedCommand):
    """`add_provider_key NAME --api-key-file PATH [--priority N] [--weight N]`"""

    recorded = ("name", "priority", "weight")
    help = "Give a provider one more key, beside those it has."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        add_key_options(parser)
        parser.add_argument("--priority", type=int, default=0, help="lower is used first")
        parser.add_argument("--weight", type=int, default=1, help="share within one priority")

    def handle(self, *args: Any, **options: Any) -> None:
        provider = Provider.objects.filter(name=options["name"]).first()
        if provider is None:
            raise CommandError(f"There is no provider {options['name']!r}.")
        try:
            key = add_key(
                provider,
                read_key(options),
                priority=options["priority"],
                weight=options["weight"],
            )
        except InvalidProvider as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"added {key}")
