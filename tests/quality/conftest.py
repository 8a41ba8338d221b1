"""A shop as it is deployed, with a customer who has bought and called, and its staff."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from devstack.environment import ROOT, without_product_settings
from devstack.npm import ensure_node, install_packages
from devstack.plan import Command, Plan, manage, product_plan
from devstack.pytest_plugin import SERVICES_HOME
from devstack.site import Site
from devstack.stack import Stack
from devstack.template import copy_template
from tests.browser.conftest import STAFF_LOGIN, TIMEOUT_MS, browser_type_launch_args
from tests.browser.shoppers import Shopper, sign_up, wait_for_models
from tests.waiting import await_true

__all__ = ["browser_type_launch_args"]

FOLDER = ROOT / "var" / "quality"


def deployed_plan(site: Site) -> Plan:
    """The product's plan with static files collected and compressed, as an image has them."""
    plan = product_plan(site)
    collect = Command("collectstatic", manage("collectstatic", "--no-input", "--verbosity", "0"))
    return replace(plan, setup=[collect, *plan.setup])


@pytest.fixture(scope="session")
def packages() -> Path:
    """Where the pinned packages of Node are."""
    ensure_node()
    install_packages(Path(__file__).parent, FOLDER)
    return FOLDER / "node_modules"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("quality")
    copy_template(SERVICES_HOME, to=folder / "postgres")
    environ = without_product_settings(os.environ) | {"STATIC_MANIFEST": "1"}
    with Stack(folder, environ=environ, planner=deployed_plan) as running:
        yield running


@dataclass(frozen=True)
class House:
    """The shop, and browsers of its customer and of a member of staff who are logged in."""

    stack: Stack
    shopper: Shopper
    customer: BrowserContext
    staff: BrowserContext

    def inside(self, call: str) -> Any:
        """Call a function of the planting inside the product, and return what it returned."""
        code = (
            f"import json; from tests.browser import planting; print(json.dumps(planting.{call}))"
        )
        return json.loads(
            self.stack.manage("shell", "-c", code, is_owner=True).strip().splitlines()[-1]
        )


@pytest.fixture(scope="session")
def house(stack: Stack, browser: Browser) -> House:
    customer, staff = (browser.new_context(base_url=stack.url) for _ in range(2))
    for context in (customer, staff):
        context.set_default_timeout(TIMEOUT_MS)
    shopper = sign_up(customer.new_page(), stack, "reader")
    shopper.create_key("Laptop")
    shopper.buy("starter")
    wait_for_models(shopper, ["gpt-4"])
    assert shopper.ask("gpt-4").status_code == 200
    log_in_as_staff(staff.new_page(), stack)
    house = House(stack, shopper, customer, staff)
    house.inside(f"prepare({shopper.email!r})")
    await_true(lambda: house.inside("UsageRecord.objects.count()"), what="a receipt")
    return house


def log_in_as_staff(page: Page, stack: Stack) -> None:
    found = STAFF_LOGIN.search(stack.seed_output)
    assert found
    page.goto("/accounts/login/?next=/admin/")
    page.get_by_label("Email").fill(found[1])
    page.get_by_label("Password").fill(found[2])
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("#content")).to_be_visible()


@pytest.fixture
def stranger(stack: Stack, browser: Browser) -> Iterator[BrowserContext]:
    """A browser of somebody who is not logged in."""
    context = browser.new_context(base_url=stack.url)
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()
