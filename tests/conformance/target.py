"""What the suites call: a stack of our own with models, keys and balances, or one that is named."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from devstack.environment import without_product_settings
from devstack.stack import Stack
from tests.proxy.corpus.rows import ROWS
from tests.proxy.corpus.upstream import serving_rows

# Public names, and what the sandbox calls them. The first two are placeholders in other people's
# tests; a model that refuses parameters or breaks is told so by its upstream name.
MODELS = {
    "gpt-6-astra": "gpt-4o",
    "string": "gpt-4o",
    "gpt-4o": "gpt-4o",
    "gpt-4o-mini": "gpt-4o-mini",
    "gpt-3.5-turbo-instruct": "gpt-3.5-turbo-instruct",
    "text-embedding-3-small": "text-embedding-3-small",
    "text-embedding-ada-002": "text-embedding-ada-002",
    "broken-stream": "fault-cut-5",
    "slow": "gpt-4o-20tps",
}
SETTINGS = {
    "DEFAULT_REQUESTS_PER_MINUTE": "100000",
    "CATALOGUE_REFRESH_S": "1",
}
BALANCE_CREDITS = 500_000_000


@dataclass(frozen=True)
class Target:
    """An API to call. The keys for special cases are empty where there are none."""

    base_url: str
    api_key: str
    # Of a customer without a balance.
    broke_api_key: str = ""
    # A file of the scripted upstreams, each a model of its name; empty where they are not sold.
    corpus: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What the suites read."""
        return {
            "CONFORMANCE_BASE_URL": self.base_url,
            "CONFORMANCE_API_KEY": self.api_key,
            "CONFORMANCE_BROKE_API_KEY": self.broke_api_key,
            "CONFORMANCE_CORPUS": self.corpus,
            "TEST_API_BASE_URL": self.base_url,
        }


@contextmanager
def own_stack(log_folder: Path) -> Iterator[Target]:
    """Start the whole product with the sandbox behind it, and sell what the suites ask for."""
    environ = {**without_product_settings(os.environ), **SETTINGS}
    with (
        TemporaryDirectory(prefix="conformance-") as folder,
        serving_rows(ROWS) as corpus_url,
        Stack(Path(folder), environ=environ) as stack,
    ):
        try:
            yield _set_up(stack, corpus_url, Path(folder) / "corpus.json")
        finally:
            _keep_logs(Path(folder) / "log", log_folder)


def _set_up(stack: Stack, corpus_url: str, corpus: Path) -> Target:
    models = [f"--model={public}={upstream}" for public, upstream in MODELS.items()]
    stack.manage(
        "add_provider", "conformance", "--base-url", f"{stack.upstream_url}/v1",
        "--api-key", stack.env["SANDBOX_UPSTREAM_KEY"], "--default-price", *models,
    )  # fmt: skip
    stack.manage(
        "add_provider", "corpus", "--base-url", corpus_url, "--api-key", "sk-Canary",
        "--default-price", *(f"--model={row.name}" for row in ROWS),
    )  # fmt: skip
    told = ("name", "endpoint", "stream", "status", "sees", "asks")
    corpus.write_bytes(orjson.dumps([{name: getattr(row, name) for name in told} for row in ROWS]))
    rich, broke = (
        stack.manage("issue_key", f"{who}@example.com").split()[-1] for who in ("rich", "broke")
    )
    stack.manage("grant_credits", "rich@example.com", str(BALANCE_CREDITS), "--reason", "a test")
    return Target(f"{stack.url}/v1", rich, broke, str(corpus))


def _keep_logs(source: Path, destination: Path) -> None:
    destination.mkdir(parents=True, exist_ok=True)
    for log in source.glob("*.log"):
        (destination / log.name).write_bytes(log.read_bytes())
