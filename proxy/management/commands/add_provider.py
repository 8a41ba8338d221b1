"""Set up an upstream provider with its key, models and routes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.desk.commands import RecordedCommand
from proxy.errors import InvalidProvider
from proxy.management.key_options import add_key_options, read_key
from proxy.upstreams.providers.setup import set_up_provider


class Command(RecordedCommand):
    """`add_provider NAME --base-url URL --api-key-file PATH --model PUBLIC[=UPSTREAM] …`"""

    recorded = ("name", "base_url")
    help = "Create a provider with its models and routes, or update one of the same name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--base-url", required=True, help="such as https://api.openai.com/v1")
        add_key_options(parser)
        parser.add_argument(
            "--model",
            action="append",
            required=True,
            metavar="PUBLIC[=UPSTREAM]",
            help="a model as customers name it, and as the provider does; may be repeated",
        )
        parser.add_argument(
            "--default-price",
            action="store_true",
            help="price models without a price at 1 credit per prompt and completion token",
        )
        parser.add_argument(
            "--context-tokens",
            type=int,
            metavar="TOKENS",
            help="the most that each of these models reads, its answer included; without it, what"
            " is known of OpenAI's by their names",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changes = set_up_provider(
                options["name"],
                base_url=options["base_url"],
                secret=read_key(options),
                models=dict(read_model(text) for text in options["model"]),
                has_default_price=options["default_price"],
                context_tokens=options["context_tokens"],
            )
        except InvalidProvider as error:
            raise CommandError(str(error)) from error
        for line in changes.lines or [f"{changes.provider.name} is set up like that already"]:
            self.stdout.write(line)


def read_model(text: str) -> tuple[str, str]:
    """Split PUBLIC=UPSTREAM; without the second, both are the same. Raises CommandError."""
    public_name, _, upstream_model = text.partition("=")
    if not public_name or ("=" in text and not upstream_model):
        raise CommandError(f"--model must be PUBLIC or PUBLIC=UPSTREAM, not {text!r}.")
    return public_name, upstream_model or public_name
