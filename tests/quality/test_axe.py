"""axe finds nothing grave on any page, in light and in dark, and no page is too wide for a phone.

The pages are found by walking the addresses: a new one is looked at without being listed here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, ViewportSize

from tests.browser.addresses import is_page
from tests.quality.conftest import House

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1_800)]

# A screen each: what axe measures, contrast above all, changes with the theme, not with the width.
LOOKS: tuple[tuple[Literal["light", "dark"], ViewportSize], ...] = (
    ("light", {"width": 1280, "height": 900}),
    ("dark", {"width": 360, "height": 800}),
)
GRAVE = ("serious", "critical")
RUN_AXE = """async (grave) => {
    const found = await axe.run(document, {resultTypes: ["violations"]});
    return found.violations.filter((each) => grave.includes(each.impact)).map((each) =>
        `${each.id}: ${each.nodes.map((node) => node.target.join(" ")).slice(0, 5).join(", ")}`);
}"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def axe(packages: Path) -> str:
    return (packages / "axe-core" / "axe.min.js").read_text()


def troubles(context: BrowserContext, path: str, axe: str) -> Iterator[str]:
    """Open a page in both looks, and yield what is wrong with it."""
    page = context.new_page()
    for theme, screen in LOOKS:
        # What fades in has no contrast yet.
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size(screen)
        page.goto(path, wait_until="load")
        page.evaluate(axe)
        yield from (f"{path} ({theme}) {found}" for found in page.evaluate(RUN_AXE, GRAVE))
        if wide := page.evaluate(TOO_WIDE):
            yield f"{path}: {wide} pixels wider than {screen['width']}"
    page.close()


def test_axe_finds_nothing_grave_on_a_customers_pages(house: House, axe: str) -> None:
    user_id = house.inside(f"User.objects.get(email={house.shopper.email!r}).pk")
    paths = house.inside(f"customers_pages({user_id})")

    wrong = [
        found
        for path in paths
        if is_page(house.shopper.page, path)
        for found in troubles(house.customer, path, axe)
    ]

    assert len(paths) > 50
    assert not wrong, "\n".join(wrong)


def test_axe_finds_nothing_grave_on_a_strangers_pages(
    house: House, stranger: BrowserContext, axe: str
) -> None:
    paths = ["/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/none/"]

    wrong = [found for path in paths for found in troubles(stranger, path, axe)]

    assert not wrong, "\n".join(wrong)


def test_axe_finds_nothing_grave_at_the_desk(house: House, axe: str) -> None:
    paths = house.inside("desk_pages()")

    wrong = [found for path in paths for found in troubles(house.staff, path, axe)]

    assert len(paths) > 50
    assert not wrong, "\n".join(wrong)
