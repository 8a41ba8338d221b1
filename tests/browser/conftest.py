"""The whole product on free ports, and Chromium in front of it."""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from devstack.environment import without_product_settings
from devstack.errors import LaunchError
from devstack.pytest_plugin import SERVICES_HOME
from devstack.stack import Stack
from devstack.template import copy_template
from devstack.tools import CHROMIUM, ensure_tool
from tests.browser.witness import Witness

# Nothing the browser does by itself may reach the network.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# A machine that runs all the other tests beside these takes its time.
TIMEOUT_MS = 15_000
expect.set_options(timeout=TIMEOUT_MS)
# Of the networks that are kept for benchmarks (RFC 2544).
ADDRESSES = (f"198.18.{n // 250}.{n % 250 + 1}" for n in itertools.count())
STAFF_LOGIN = re.compile(r"Staff: (\S+) / (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Login:
    """Whom to log in as."""

    email: str
    password: str


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running product for all tests here; each brings customers of its own."""
    environ = without_product_settings(os.environ) | {
        "CUSTOMER_REFUND_DAYS": "14",
        # Customers come from networks of their own, as a proxy would tell: see `Browsers.open`.
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    folder = tmp_path_factory.mktemp("shop")
    copy_template(SERVICES_HOME, to=folder / "postgres")
    with Stack(folder, environ=environ) as running:
        yield running


@pytest.fixture(scope="session")
def staff(stack: Stack) -> Login:
    """The member of staff that the demonstration shop comes with."""
    found = STAFF_LOGIN.search(stack.seed_output)
    assert found, f"the seed names no member of staff: {stack.seed_output}"
    return Login(*found.groups())


@pytest.fixture(scope="session")
def base_url(stack: Stack) -> str:
    """Where a browser's relative addresses lead."""
    return stack.url


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Take the system's Chromium: Playwright's own would have to be downloaded."""
    try:
        path = ensure_tool(CHROMIUM)
    except LaunchError as error:
        pytest.fail(str(error))
    return {**browser_type_launch_args, "executable_path": path, "args": CHROMIUM_FLAGS}


@dataclass
class Browsers:
    """Opens pages, each in a browser of its own, and witnesses what goes wrong in them."""

    stack: Stack
    new_context: Callable[..., BrowserContext]
    witnesses: list[Witness] = field(default_factory=list)

    def open(self, *, failing: str = "", **options: Any) -> Page:
        """Open an empty page. The address in `failing` is expected to answer with an error."""
        context = self.new_context(
            **{
                "viewport": {"width": 1440, "height": 900},
                "extra_http_headers": {"X-Forwarded-For": next(ADDRESSES)},
                **options,
            }
        )
        context.set_default_timeout(TIMEOUT_MS)
        theirs = (self.stack.stripe_url,)
        witness = Witness(context, home=self.stack.url, strangers=theirs, failing=failing)
        self.witnesses.append(witness)
        return context.new_page()

    @property
    def complaints(self) -> list[str]:
        return [complaint for witness in self.witnesses for complaint in witness.complaints]


@pytest.fixture
def browsers(stack: Stack, new_context: Callable[..., BrowserContext]) -> Iterator[Browsers]:
    """Browsers for one test, which fails with whatever went wrong in them."""
    browsers = Browsers(stack, new_context)
    yield browsers
    assert browsers.complaints == []
