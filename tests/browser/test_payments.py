"""Every way a payment goes, as the one who pays sees it."""

import csv
import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.browser.conftest import TIMEOUT_MS, Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import (
    Shopper,
    confirm_debit,
    dispute,
    end_dispute,
    expire,
    fail_debit,
    pay_with,
    refund,
    sign_up,
)
from tests.waiting import PATIENCE_S, await_true

pytestmark = pytest.mark.browser

# The cards that Stripe documents for tests.
GOOD_CARD = "4242 4242 4242 4242"
ASKING_CARD = "4000 0027 6000 3184"
PATIENCE_MS = PATIENCE_S * 1_000
# One code, and a second currency for a pack: what staff enters at the desk.
STOCK = """
import json
from datetime import timedelta
from uuid import uuid4
from accounts.models import User
from billing.models import Pack, PackPrice
from billing.gifts.redeem_codes import BatchTerms, make_batch
clerk = User.objects.filter(is_superuser=True).first()
terms = BatchTerms(name="Fair", credits=250_000, size=1)
_, codes = make_batch(terms, actor=clerk, once=uuid4())
PackPrice.objects.create(pack=Pack.objects.get(slug="scale"), currency="eur", price_cents=7_400)
print(json.dumps({"code": codes[0]}))
"""


@pytest.fixture(scope="module")
def code(stack: Stack) -> str:
    """A code worth 250,000 credits. The largest pack is also sold in euros from now on."""
    printed = stack.manage("shell", "-c", STOCK).strip().splitlines()[-1]
    return str(json.loads(printed)["code"])


def expect_h1(page: Page, text: str, *, timeout_ms: float = TIMEOUT_MS) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(text, timeout=timeout_ms)


def expect_balance(customer: Shopper, credits: str) -> None:
    customer.page.goto("/dashboard/")
    expect(customer.page.locator(".balance-figure")).to_contain_text(f"{credits} credits")


def open_latest_order(page: Page) -> None:
    page.goto("/dashboard/orders/")
    page.locator("tbody a").first.click()
    expect_h1(page, "Starter")


def test_a_declined_card_can_be_followed_by_a_better_one(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "declined")
    customer.order("starter")

    page = customer.page
    page.get_by_role("button", name="Try a card that is declined").click()
    expect(page.get_by_role("alert")).to_contain_text("declined")
    pay_with(page, card=GOOD_CARD)

    expect_h1(page, "1,000,000 credits are yours")


def test_an_order_that_was_left_is_paid_later(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "hesitant")
    customer.order("starter")
    page = customer.page
    page.get_by_role("link", name="Cancel and go back").click()
    expect_h1(page, "Nothing was charged")

    page.goto("/dashboard/orders/")
    page.get_by_role("row").filter(has_text="Waiting for payment").get_by_role("link").click()
    page.get_by_role("link", name="Go to the payment page").click()
    page.get_by_role("button", name="Pay $5.00").click()

    expect_h1(page, "1,000,000 credits are yours")


def test_a_bank_that_asks_may_be_answered_the_second_time(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "distracted")
    customer.order("starter")
    page = customer.page
    pay_with(page, card=ASKING_CARD)
    page.get_by_role("button", name="Fail authentication").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was charged")

    pay_with(page, card=ASKING_CARD)
    page.get_by_role("button", name="Complete authentication").click()

    expect_h1(page, "1,000,000 credits are yours")
    expect_balance(customer, "1,000,000")


def test_the_page_of_a_bank_debit_finishes_by_itself(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "patient")
    session_id = customer.order_by_bank("starter")
    page, order = customer.page, customer.page.context.new_page()
    order.goto("/dashboard/")
    expect(order.get_by_role("main")).to_contain_text("$5.00 for Starter is on its way")
    keep(order, "payments/pending-overview")
    order.get_by_role("link", name="See the order").click()
    expect(order.get_by_role("main")).to_contain_text("the bank is still at work")
    keep(order, "payments/pending-order")

    confirm_debit(stack, session_id)

    expect_h1(page, "1,000,000 credits are yours", timeout_ms=PATIENCE_MS)
    expect(order.get_by_role("main")).to_contain_text(
        "1,000,000 credits were added to your balance", timeout=PATIENCE_MS
    )
    expect(order.locator(".badge")).to_have_text("Paid")
    keep(order, "payments/pending-order-paid")


def test_a_bank_debit_that_fails_says_so_by_itself(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "penniless")
    session_id = customer.order_by_bank("starter")
    page = customer.page

    fail_debit(stack, session_id)

    expect_h1(page, "The payment didn't go through", timeout_ms=PATIENCE_MS)
    expect(page.get_by_role("link", name="order again")).to_be_visible()
    expect_balance(customer, "0")


def test_an_order_that_expires_says_so_and_charges_nothing(
    stack: Stack, browsers: Browsers
) -> None:
    customer = sign_up(browsers.open(), stack, "late")
    session_id = customer.order("starter")
    page = customer.page
    page.goto(f"/billing/return/?session_id={session_id}")
    expect_h1(page, "Waiting for your payment")

    expire(stack, session_id)

    expect_h1(page, "This order has expired", timeout_ms=PATIENCE_MS)
    page.goto("/dashboard/orders/")
    expect(page.locator("tbody tr")).to_contain_text("Expired")


def test_a_customer_returns_the_unused_part(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "regretful")
    customer.buy("starter")
    page = customer.page
    open_latest_order(page)
    page.get_by_role("link", name="Return the unused part").click()
    keep(page, "payments/return-the-unused-part")

    page.get_by_role("button", name="Return $5.00").click()

    main = page.get_by_role("main")
    expect(page.get_by_role("status")).to_contain_text("$5.00 will be returned to you")
    expect(main).to_contain_text("Later $5.00 of the payment went back", timeout=PATIENCE_MS)
    expect(page.locator(".console-head .badge")).to_have_text("Refunded")
    expect(main.get_by_role("table")).to_contain_text("Returned")
    keep(page, "payments/returned")
    expect(page.get_by_role("link", name="Return the unused part")).to_have_count(0)
    expect_balance(customer, "0")


def test_what_is_owed_is_paid_by_the_next_pack(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "indebted")
    customer.create_key("Laptop")
    session_id = customer.buy("starter")
    page = customer.page
    assert customer.ask("gpt-4").status_code == 200
    spent = read_spending(customer)

    refund(stack, session_id)
    await_true(lambda: is_owing(page, spent), what=f"{spent} credits are owed")
    keep(page, "payments/owing")
    assert customer.ask("gpt-4").status_code == 429
    page.get_by_role("link", name="Pay what is owed").click()
    page.get_by_role("button", name="Buy Starter").click()
    page.get_by_role("button", name="Pay $5.00").click()

    expect_h1(page, "credits are yours")
    expect_balance(customer, f"{1_000_000 - spent:,}")
    expect(page.get_by_role("main")).not_to_contain_text("are owed")
    assert customer.ask("gpt-4").status_code == 200


def test_a_disputed_payment_is_explained_and_a_won_one_is_as_before(
    stack: Stack, browsers: Browsers
) -> None:
    customer = sign_up(browsers.open(), stack, "disputing")
    customer.create_key("Laptop")
    session_id = customer.buy("starter")
    page, main = customer.page, customer.page.get_by_role("main")

    dispute_id = dispute(stack, session_id)
    await_true(lambda: is_said(page, "Your balance is frozen"), what="the balance is frozen")
    keep(page, "payments/disputed-overview")
    assert customer.ask("gpt-4").status_code != 200
    page.get_by_role("link", name="the payment of $5.00").click()
    expect(main).to_contain_text("Your bank disputes $5.00 of the payment")
    keep(page, "payments/disputed-order")
    page.goto("/billing/checkout/starter/")
    expect(page.get_by_role("alert")).to_contain_text("Your balance is frozen")
    keep(page, "payments/frozen-confirm")

    end_dispute(stack, dispute_id, "win")
    await_true(lambda: is_said(page, "1,000,000"), what="the credits are back")
    expect(main).not_to_contain_text("frozen")
    await_true(lambda: customer.ask("gpt-4").status_code == 200, what="calls are answered")


def test_a_payment_that_the_bank_took_back_says_so(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "losing")
    session_id = customer.buy("starter")
    page = customer.page

    end_dispute(stack, dispute(stack, session_id), "lose")
    open_latest_order(page)
    words = "Your bank took $5.00 of the payment back"
    await_true(
        lambda: page.reload() and words in page.inner_text("main"), what="the dispute is lost"
    )

    expect(page.get_by_role("main")).not_to_contain_text("Your bank disputes")
    keep(page, "payments/lost-dispute")


def is_said(page: Page, words: str) -> bool:
    page.goto("/dashboard/")
    return words in page.get_by_role("main").inner_text()


def read_spending(customer: Shopper) -> int:
    """What the only request was charged, as soon as it is booked."""
    page = customer.page

    def is_booked() -> bool:
        page.goto("/dashboard/usage/")
        return page.locator(".table-log tbody tr").count() == 1

    await_true(is_booked, what="the request is booked")
    return int(page.locator(".table-log tbody td").last.inner_text().replace(",", ""))


def is_owing(page: Page, credits: int) -> bool:
    page.goto("/dashboard/")
    return f"{credits:,} credits are owed" in page.get_by_role("main").inner_text()


@pytest.mark.usefixtures("code")
def test_a_customer_pays_in_another_currency(stack: Stack, browsers: Browsers) -> None:
    customer = sign_up(browsers.open(), stack, "european")
    page = customer.page
    page.goto("/packs/")
    keep(page, "payments/packs-in-two-currencies")
    page.get_by_role("link", name="Buy Scale").click()
    keep(page, "payments/currencies")
    page.get_by_role("radio", name="EUR").check()
    page.get_by_role("button", name="Continue to payment").click()

    page.get_by_role("button", name="Pay €74.00").click()

    expect_h1(page, "credits are yours")
    page.goto("/dashboard/orders/")
    expect(page.locator("tbody tr")).to_contain_text("€74.00")


def test_a_code_is_redeemed_once_however_it_is_typed(
    stack: Stack, browsers: Browsers, code: str
) -> None:
    customer = sign_up(browsers.open(), stack, "gifted")
    page = customer.page
    page.goto("/dashboard/redeem/")
    for typed in (code.lower(), code.replace("-", " ")):
        page.get_by_role("textbox", name="Code").fill(typed)
        page.get_by_role("button", name="Redeem").click()
        keep(page, f"payments/redeemed-{'once' if typed.islower() else 'twice'}")

    expect(page.get_by_role("status")).to_contain_text("used already")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text(code[-4:])
    expect_balance(customer, "250,000")


def test_a_statement_is_a_document_and_a_table_that_adds_up(
    stack: Stack, browsers: Browsers, tmp_path: Path
) -> None:
    customer = sign_up(browsers.open(), stack, "bookkeeper")
    customer.buy("starter")
    page = customer.page
    page.goto("/dashboard/statements/")

    document = download(page, "PDF", tmp_path).read_bytes()
    table = download(page, "CSV", tmp_path).read_text(encoding="utf-8-sig")

    assert document.startswith(b"%PDF-1.")
    assert document.rstrip().endswith(b"%%EOF")
    rows = list(csv.DictReader(table.splitlines()))
    assert [(row["Section"], row["Credits"]) for row in rows] == [
        ("Opening balance", "0"),
        ("Orders", "1000000"),
        ("Closing balance", "1000000"),
    ]


def download(page: Page, form: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=f"as {form}").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path
