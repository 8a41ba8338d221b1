"""The product with all that it does: a key, limits, a hold, a settlement, a receipt."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.table.gateways.starting import UPSTREAM_KEY, Missing, Place, Running, shorten
from devstack.environment import ROOT, without_product_settings
from devstack.errors import LaunchError
from devstack.plan import Plan, product_plan
from devstack.site import Site
from devstack.stack import Stack

# All clients of a measurement have one address and one key.
BOUNDS = {"MAX_CONNECTIONS_PER_ADDRESS": "5000", "LOG_LEVEL": "WARNING"}
CONTEXT_TOKENS = 1_000_000
OPEN_SHOP = """
from accounts.models import User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.pushes import push_if_possible
from billing.ledger.wallets import grant_credits, limit_wallet, wallet_of

most = {"requests_per_minute": 10_000_000, "tokens_per_minute": 2_000_000_000}
user = User.objects.create_user("bench@example.com")
grant_credits(wallet_of(user), credits=10**12, reason="to be measured")
limit_wallet(wallet_of(user), concurrent_requests=5_000, **most)
key, secret = issue_api_key(own_seat(user), name="bench")
type(key).objects.filter(pk=key.pk).update(concurrent_requests=5_000, **most)
push_if_possible(wallet_of(user).pk)
print(secret)
"""


@contextmanager
def start(place: Place) -> Iterator[Running]:
    """Serve with one web process, and the others elsewhere. Raises Missing."""

    def plan(site: Site) -> Plan:
        whole = product_plan(site)
        [web] = whole.web
        web = replace(web, argv=place.pinned(web.argv))
        # The seed is a demonstration's, and nothing here pays or mails.
        return replace(whole, web=[web], sandboxes=[], seed=None)

    stack = Stack(
        place.folder / "product",
        environ={**without_product_settings(os.environ), **BOUNDS},
        durable=True,
        planner=plan,
    )
    try:
        with stack:
            secret = open_shop(stack, place)
            yield Running(
                title=f"TokenProxy {commit()}",
                port=stack.site.web_ports[0],
                pid=stack.web[0].pid,
                headers={"Authorization": f"Bearer {secret}"},
                helpers=helpers(stack),
                redis_url=stack.env["REDIS_URL"],
            )
    except LaunchError as error:
        raise Missing(f"it does not start: {shorten(str(error))}") from error


def open_shop(stack: Stack, place: Place) -> str:
    """Sell the fake upstream's models to one rich customer, and return a key's secret."""
    models = [part for model in place.models for part in ("--model", model)]
    stack.manage(
        *("add_provider", "bench", "--base-url", f"{place.upstream_url}/v1"),
        *("--api-key", UPSTREAM_KEY, *models, "--default-price"),
        *("--context-tokens", str(CONTEXT_TOKENS)),
    )
    return stack.manage("shell", "--no-imports", "-c", OPEN_SHOP).split()[-1]


def helpers(stack: Stack) -> dict[str, int]:
    """Return the process of each service that works for the web process."""
    assert stack.valkey is not None
    assert stack.postgres is not None
    return {
        "Valkey": stack.valkey.process.pid,
        "PostgreSQL": stack.postgres.process.pid,
        "worker": stack.worker.pid,
        "beat": stack.beat.pid,
    }


def commit() -> str:
    """Return the commit that is measured, with a + if files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=9"],  # noqa: S607 - whichever git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "of an unknown commit"
