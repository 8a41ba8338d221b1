"""Make the landing page's pictures anew: a shop of its own, a customer, and 30 days of requests.

`make pictures` writes them into static/img/landing/, in each language, in light and in dark. No
test run collects this file by itself.
"""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from devstack.stack import Stack
from tests.browser.conftest import TIMEOUT_MS
from tests.browser.pictures import SCHEMES
from tests.browser.shoppers import CONFIRM, Shopper, mailed_link, sign_up, wait_for_models
from tests.waiting import await_true

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

FOLDER = Path(__file__).parents[2] / "static" / "img" / "landing"
LANGUAGES = ("en", "de")
# Shown at little more than half of its width, so one pixel for each is sharp enough.
SIZE = (960, 720)
# As small as letters stay clean.
QUALITY = 40
REQUESTS = 60
# Runs inside the product: requests of today become those of 30 days, with a quiet week-end.
SPREAD = """
from datetime import timedelta
from django.db import connection, transaction
from django.db.models import F
from billing.models import UsageRecord
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("SET LOCAL session_replication_role = replica")
    for at, record in enumerate(UsageRecord.objects.order_by("pk")):
        day = (at * 7) % 30 if at % 3 else (at * 4) % 12
        back = timedelta(days=day, minutes=at)
        UsageRecord.objects.filter(pk=record.pk).update(
            started_at=F("started_at") - back, ended_at=F("ended_at") - back
        )
"""


def test_the_landings_pictures_are_made(stack: Stack, browser: Browser) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(
        base_url=stack.url,
        viewport={"width": SIZE[0], "height": SIZE[1]},
    )
    context.set_default_timeout(TIMEOUT_MS)
    customer = sign_up(context.new_page(), stack, "ada")

    receipt = use(customer)
    for language in LANGUAGES:
        choose(customer.page, language)
        take(customer.page, "/dashboard/", f"dashboard-{language}")
        take(customer.page, receipt, f"receipt-{language}")

    context.close()


def use(customer: Shopper) -> str:
    """Buy, and call the API as on 30 days; return the path of a receipt."""
    customer.page.goto(mailed_link(customer.stack, customer.email, CONFIRM))
    customer.page.get_by_role("button", name="Yes, it is mine").click()
    customer.create_key("Production server")
    customer.buy("builder")
    wait_for_models(customer, ["gpt-4o"])
    for number in range(REQUESTS):
        model = ("gpt-4o", "gpt-4", "gpt-4o-mini")[number % 3]
        customer.ask(model, f"say {200 + 37 * (number % 11)} words [[cached=4]]")
    page = customer.page
    page.goto("/dashboard/usage/")
    rows = page.get_by_title("Open the receipt")
    await_true(lambda: page.reload() and rows.count() > 20, what="the receipts")
    receipt = str(rows.nth(2).get_attribute("href"))
    customer.stack.manage("shell", "-c", SPREAD, is_owner=True)
    customer.stack.manage("rebuild_roll_ups", is_owner=True)
    return receipt


def choose(page: Page, language: str) -> None:
    """Read the site in a language, as the switch at its foot does."""
    page.goto("/dashboard/")
    name = {"en": "English", "de": "Deutsch"}[language]
    switch = page.get_by_role("contentinfo").get_by_role("button", name=name)
    if switch.count():
        switch.click()


def take(page: Page, path: str, name: str) -> None:
    """Keep the upper part of a page in light and in dark."""
    page.goto(path)
    page.evaluate("document.fonts.ready.then(() => null)")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
        picture.convert("RGB").save(FOLDER / f"{name}-{scheme}.avif", quality=QUALITY)
    page.emulate_media(color_scheme="light")
