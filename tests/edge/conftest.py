"""The running product behind nginx and behind HAProxy. `make edge-test` runs these tests alone."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from devstack.environment import without_product_settings
from devstack.stack import Stack
from tests.edge.servers import EDGES, NAME, Edge
from tests.stack.shop import Clerk, Customer, Shop

SETTINGS = {
    "SITE_URL": f"https://{NAME}",
    "ALLOWED_HOSTS": f"{NAME},127.0.0.1,localhost",
    # Where both edges call from.
    "TRUSTED_PROXIES": "127.0.0.1",
    "CATALOGUE_REFRESH_S": "1",
    "METRICS_TOKEN": "scrape-me",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole product, as it would stand behind an edge."""
    environ = {**without_product_settings(os.environ), **SETTINGS}
    with Stack(tmp_path_factory.mktemp("stack"), environ=environ) as running:
        yield running


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    """The product as customers and staff meet it, past the edge."""
    clerk = Clerk(stack)
    shop = Shop(stack, clerk)
    # As an edge says it: the site is reached by https alone.
    shop.http.headers["X-Forwarded-Proto"] = "https"
    shop.sell("gpt-4o")
    yield shop
    shop.http.close()
    clerk.close()


@pytest.fixture(scope="session")
def edges(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Edge]]:
    """Both edges, in front of the same web process."""
    folder = tmp_path_factory.mktemp("edges")
    folder.chmod(0o755)
    port = urlsplit(stack.url).port
    assert port
    with ExitStack() as opened:
        yield {
            name: opened.enter_context(run(folder / name, web_port=port))
            for name, run in EDGES.items()
        }


@pytest.fixture(params=sorted(EDGES))
def edge(request: pytest.FixtureRequest, edges: dict[str, Edge]) -> Edge:
    """Each edge in turn."""
    return edges[request.param]


@pytest.fixture(params=sorted(EDGES))
def deserted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    """Each edge in turn, behind which nobody listens."""
    tmp_path.chmod(0o755)
    with EDGES[request.param](tmp_path / "edge", web_port=1) as edge:
        yield edge


@pytest.fixture
def alice(shop: Shop) -> Customer:
    """Alice can pay for whatever a test does."""
    return shop.open_account(credits=100_000)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that calls the edge by its name, and does not mind its certificate."""
    headers = {"Host": NAME}
    with httpx.Client(verify=False, headers=headers, timeout=30, trust_env=False) as client:  # noqa: S501
        yield client
