"""From the landing page to a charge that adds up, as a new customer and as staff see it."""

import json
import re
import subprocess
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

from devstack.stack import Stack
from tests.browser import pictures
from tests.browser.conftest import Browsers, Login

pytestmark = pytest.mark.browser

CUSTOMER = Login("robin@example.com", "a pelican reads the ledger")
PACK_CREDITS = 5_000_000
# The worker books a charge within about a second; the page looks every five.
BOOKED_WITHIN_MS = 20_000
TEST_CARD = "4242 4242 4242 4242"


@dataclass
class Album:
    """Numbered pictures of the steps, in one folder."""

    folder: str
    page: Page
    taken: int = 0

    def keep(self, name: str) -> None:
        self.taken += 1
        pictures.keep(self.page, f"{self.folder}/{self.taken:02}-{name}")


@pytest.fixture
def album(browsers: Browsers) -> Album:
    return Album("first-order", browsers.open())


def test_a_newcomer_buys_a_pack_calls_the_api_and_staff_finds_it_all(
    stack: Stack, staff: Login, album: Album
) -> None:
    page = album.page

    choose_pack(album)
    sign_up(album)
    pay(album, stack)
    command = read_command(album)
    usage = run_command(command)
    charged = find_charge(album)
    check_receipt(album, usage=usage, charged=charged)
    check_balance(album, expected=PACK_CREDITS - charged)

    page.context.clear_cookies()
    log_in_as_staff(album, staff)
    find_order(album)
    find_ledger(album, charged=charged)
    find_usage(album, charged=charged)


def choose_pack(album: Album) -> None:
    page = album.page
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("every one accounted for")
    album.keep("landing")
    page.get_by_role("link", name="See the packs").click()
    expect(page).to_have_url(re.compile("/packs/$"))
    album.keep("packs")
    page.get_by_role("button", name="Buy Builder").click()


def sign_up(album: Album) -> None:
    """An order needs an account; afterwards it goes on where it was."""
    page = album.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Create your account")
    page.get_by_label("Email").fill(CUSTOMER.email)
    page.get_by_label("Password").fill(CUSTOMER.password)
    album.keep("sign-up")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order")
    expect(page.get_by_role("main")).to_contain_text("$20.00")
    album.keep("order")
    page.get_by_role("button", name="Continue to payment").click()


def pay(album: Album, stack: Stack) -> None:
    page = album.page
    expect(page).to_have_url(re.compile(f"^{stack.stripe_url}/c/pay/"))
    page.get_by_label("Card number").fill(TEST_CARD)
    album.keep("checkout")
    page.get_by_role("button", name="Pay $20.00").click()


def read_command(album: Album) -> str:
    """The curl line of the return page, the first key filled in."""
    page = album.page
    expect(page.get_by_role("heading", level=1)).to_contain_text("5,000,000 credits are yours")
    secret = page.locator("#new-secret").inner_text()
    command = page.locator("[data-example=curl-quickstart]").inner_text()
    assert re.fullmatch(r"tp_live_\w{30,}", secret)
    assert f"Bearer {secret}" in command
    album.keep("return")
    return command


def run_command(command: str) -> dict[str, int]:
    """Paste it into a shell; the answer's own count of tokens."""
    done = subprocess.run(
        ["bash", "-c", command],  # noqa: S607 - the shell that a customer has
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["message"]["content"]
    usage: dict[str, int] = answer["usage"]
    return usage


def find_charge(album: Album) -> int:
    """The dashboard shows the request, without being asked again."""
    page = album.page
    page.get_by_role("link", name="Go to the dashboard").click()
    row = page.get_by_role("row").filter(has_text="gpt-4")
    expect(row).to_be_visible(timeout=BOOKED_WITHIN_MS)
    album.keep("dashboard")
    charged = row.get_by_role("cell").last.inner_text()
    row.get_by_role("link").click()
    return number(charged)


def check_receipt(album: Album, *, usage: dict[str, int], charged: int) -> None:
    """Every line is tokens × rate, the lines' sum is the charge, held − charged is released."""
    page = album.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Receipt")
    lines = page.locator(".receipt-line").all_inner_texts()
    album.keep("receipt")

    priced = [re.search(r"([\d,]+) × (\d+)\s+([\d,]+)$", line) for line in lines]
    sums = [tuple(map(number, found.groups())) for found in priced if found]
    held, released = (number(line.split()[-1]) for line in lines[-2:])
    assert [tokens for tokens, _, _ in sums] == [
        usage["prompt_tokens"],
        usage["completion_tokens"],
    ]
    assert all(tokens * rate == amount for tokens, rate, amount in sums)
    assert sum(amount for _, _, amount in sums) == charged
    assert held - charged == released


def check_balance(album: Album, *, expected: int) -> None:
    page = album.page
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".balance-figure")).to_contain_text(f"{expected:,}")
    expect(page.get_by_role("main")).to_contain_text("Held by running requests")


def log_in_as_staff(album: Album, staff: Login) -> None:
    page = album.page
    page.goto("/admin/")
    page.get_by_label("Email").fill(staff.email)
    page.get_by_label("Password").fill(staff.password)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Desk")
    album.keep("desk")


def find_order(album: Album) -> None:
    row = search(album, "order")
    expect(row).to_contain_text("Builder")
    expect(row).to_contain_text("$20.00")
    expect(row).to_contain_text(re.compile("fulfilled", re.IGNORECASE))
    album.keep("desk-order")


def find_ledger(album: Album, *, charged: int) -> None:
    rows = search(album, "ledgerentry")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="5,000,000")).to_contain_text(re.compile("purchase", re.IGNORECASE))
    expect(rows.filter(has_text=f"−{charged:,}")).to_contain_text(
        re.compile("usage", re.IGNORECASE)
    )
    album.keep("desk-ledger")


def find_usage(album: Album, *, charged: int) -> None:
    row = search(album, "usagerecord")
    expect(row).to_contain_text("gpt-4")
    expect(row).to_contain_text(f"{charged:,}")
    album.keep("desk-usage")


def search(album: Album, model: str) -> Locator:
    """The rows of a list of the admin that belong to the customer."""
    page = album.page
    page.goto(f"/admin/billing/{model}/")
    page.locator("#searchbar").fill(CUSTOMER.email)
    page.locator("#searchbar").press("Enter")
    return page.locator("#result_list tbody tr")


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))
