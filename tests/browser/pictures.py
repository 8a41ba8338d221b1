"""Pictures of pages for people to look at, in var/screenshots.

Only where SCREENSHOTS is set in the environment: they take longer than the tests themselves.
"""

import os
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, ViewportSize

FOLDER = Path(__file__).resolve().parents[2] / "var" / "screenshots"
SIZES: dict[str, ViewportSize] = {
    "phone": {"width": 390, "height": 844},
    "desk": {"width": 1440, "height": 900},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def keep(page: Page, name: str) -> None:
    """Keep a page as it looks on every screen, in light and in dark, and leave it as it was."""
    if "SCREENSHOTS" not in os.environ:
        return
    before = page.viewport_size
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        keep_as_it_is(page, f"{name}-{size}")
    if before:
        page.set_viewport_size(before)


def keep_as_it_is(page: Page, name: str) -> None:
    """Keep a page at its present size, in light and in dark."""
    if "SCREENSHOTS" not in os.environ:
        return
    page.evaluate("document.fonts.ready.then(() => null)")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=FOLDER / f"{name}-{scheme}.png", full_page=True, animations="disabled")
    page.emulate_media(color_scheme="light")
