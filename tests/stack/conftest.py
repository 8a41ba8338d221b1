"""One running product for all tests of this folder: four web processes, a worker, sandboxes.

It is started once and shared, so every test has customers of its own, and one that breaks
something mends it before it ends.
"""

import os
from collections.abc import Iterator

import pytest

from devstack.environment import without_product_settings
from devstack.pooler import STACK_DATABASE
from devstack.pytest_plugin import SERVICES_HOME
from devstack.stack import Stack
from devstack.template import copy_template
from tests.stack.shop import Clerk, Shop, Upstream

# How the stack differs from a site's defaults.
SETTINGS = {
    # Loads of thousands of requests come from a few keys.
    "DEFAULT_REQUESTS_PER_MINUTE": "100000",
    # A retry of a JSON request joins within this; no test waits for 15 seconds.
    "CLIENT_LEFT_GRACE_S": "1",
    # A model that a test sells is on sale within a second.
    "CATALOGUE_REFRESH_S": "1",
    # Progress is noted every 2 seconds: what a killed process had delivered is known that well.
    "HOLD_LEASE_S": "8",
}


# How many servers of Redis keep the wallets.
NODES = "STACK_NODES"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole product, with four web processes."""
    environ = {**without_product_settings(os.environ), **SETTINGS}
    folder = tmp_path_factory.mktemp("stack")
    if url := os.environ.get(STACK_DATABASE):
        environ["DATABASE_URL"] = url
    else:
        copy_template(SERVICES_HOME, to=folder / "postgres")
    nodes = int(os.environ.get(NODES, "1"))
    with Stack(folder, webs=4, nodes=nodes, environ=environ) as running:
        yield running


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    """The product as customers and staff meet it."""
    clerk = Clerk(stack)
    shop = Shop(stack, clerk)
    yield shop
    shop.http.close()
    clerk.close()


@pytest.fixture(scope="session")
def upstream(stack: Stack) -> Upstream:
    """What the upstream says that it served."""
    return Upstream(stack.upstream_url)
