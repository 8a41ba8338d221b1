"""A chat on the page: answers that stream, their cost and receipts, two models, and the code."""

import re

import pytest
from playwright.sync_api import Page, Request, expect

from devstack.stack import Stack
from tests.browser.conftest import Browsers
from tests.browser.pictures import keep
from tests.browser.shoppers import CONFIRM, INVITED, PASSWORD, Shopper, mailed_link, sign_up
from tests.waiting import await_true

pytestmark = pytest.mark.browser

SECRET = re.compile(r"\btp_[A-Za-z0-9_-]{20,}")


def ask(page: Page, words: str) -> None:
    page.get_by_label("Message", exact=True).fill(words)
    page.get_by_role("button", name="Send", exact=True).click()


def test_two_models_answer_side_by_side_and_each_has_a_receipt(
    stack: Stack, browsers: Browsers
) -> None:
    page = browsers.open()
    sign_up(page, stack, "chatterbox").buy("starter")
    asked: list[Request] = []
    # A built-in method can't be marked as Playwright marks its listeners.
    page.on("request", lambda each: asked.append(each))  # noqa: PLW0108
    page.goto("/dashboard/playground/")
    page.get_by_label("Model", exact=True).select_option("gpt-4o")
    page.get_by_label("Compare with").select_option("gpt-4o-mini")
    page.get_by_label("Maximum tokens per answer").fill("200")

    ask(page, "say 40 words [[tps=10]]")

    lanes = [
        page.get_by_role("region", name=name, exact=True) for name in ("gpt-4o", "gpt-4o-mini")
    ]
    for each in lanes:
        # While it runs: some words, and what they cost by then.
        expect(each).to_contain_text(re.compile(r"About \d+ credits so far"))
    keep(page, "playground/running")
    for each in lanes:
        expect(each).to_contain_text(re.compile(r"\d+ credits charged"), timeout=30_000)
        words = each.locator(".playground-words").inner_text()
        assert len(words.split()) == 40
    keep(page, "playground/answered")
    chats = [each for each in asked if each.url.endswith("/v1/chat/completions")]
    asked_for = sorted((each.post_data_json or {})["model"] for each in chats)
    assert asked_for == ["gpt-4o", "gpt-4o-mini"]

    page.get_by_text("View code").click()
    shown = page.locator("[data-language=curl]")
    expect(shown).to_be_visible()
    expect(shown).to_contain_text("say 40 words")
    expect(shown).to_contain_text("$OPENAI_API_KEY")
    assert not SECRET.search(page.content())
    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert "say 40 words" not in kept
    assert not SECRET.search(kept)

    page.get_by_role("link", name="Receipt").first.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Charged")
    page.goto("/dashboard/playground/")
    expect(page.get_by_role("main")).not_to_contain_text("say 40 words")

    page.goto("/dashboard/usage/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    titles, *requests = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert titles.startswith('"Ended (UTC)"')
    assert sorted(line.split(",")[2] for line in requests) == ['"gpt-4o"', '"gpt-4o-mini"']


def test_a_german_reader_is_told_the_same_in_german(stack: Stack, browsers: Browsers) -> None:
    page = browsers.open()
    sign_up(page, stack, "plauderer").buy("starter")
    page.get_by_role("contentinfo").get_by_role("button", name="Deutsch").click()
    page.goto("/dashboard/playground/")
    page.get_by_label("Nachricht", exact=True).fill("")
    page.get_by_role("button", name="Senden", exact=True).click()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text(
        "Bitte schreiben Sie zuerst etwas."
    )

    page.get_by_label("Nachricht", exact=True).fill("say 20 words [[tps=10]]")
    most_tokens = page.get_by_label("Höchstzahl Token einer Antwort")
    expect(most_tokens).to_have_value("1.024")
    most_tokens.fill("2,000")
    page.get_by_role("button", name="Senden", exact=True).click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("ganze Zahl über 0")
    most_tokens.fill("2000")
    most_tokens.blur()
    expect(most_tokens).to_have_value("2.000")
    with page.expect_request("**/v1/chat/completions") as asked:
        page.get_by_role("button", name="Senden", exact=True).click()

    assert (asked.value.post_data_json or {})["max_tokens"] == 2_000
    chat = page.get_by_role("region", name="gpt-4", exact=True)
    expect(chat).to_contain_text(re.compile(r"Bisher etwa \d+ Credits"))
    expect(chat).to_contain_text(re.compile(r"\d+ Credits berechnet"), timeout=30_000)
    keep(page, "playground/german")


def test_on_a_phone_the_chat_comes_first_and_settings_are_folded(
    stack: Stack, browsers: Browsers
) -> None:
    page = browsers.open(viewport={"width": 390, "height": 844})
    sign_up(page, stack, "pocket").buy("starter")
    page.goto("/dashboard/playground/")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_in_viewport()
    expect(page.get_by_label("Temperature")).to_be_hidden()

    page.get_by_text("Model and settings").click()
    page.get_by_label("Compare with").select_option("gpt-4o-mini")
    ask(page, "say 200 words")

    expect(page.get_by_text("gpt-4 · gpt-4o-mini")).to_be_visible()
    first, second = (
        page.get_by_role("region", name=name, exact=True) for name in ("gpt-4", "gpt-4o-mini")
    )
    # A long answer is read to its end by scrolling, and its receipt is in view.
    expect(first.get_by_role("link", name="Receipt")).to_be_in_viewport(timeout=30_000)
    expect(second).to_be_in_viewport(ratio=0.05)
    second.focus()
    expect(second.get_by_role("link", name="Receipt")).to_be_in_viewport(timeout=30_000)
    keep(page, "playground/phone")


def test_an_invited_member_sends_the_first_request_from_the_dashboard(
    stack: Stack, browsers: Browsers
) -> None:
    owner = sign_up(browsers.open(), stack, "inviter")
    owner.page.goto(mailed_link(stack, owner.email, CONFIRM))
    owner.page.get_by_role("button", name="Yes, it is mine").click()
    owner.buy("starter")
    owner.page.goto("/dashboard/team/invitations/")
    owner.page.get_by_label("Email").fill("invitee@example.com")
    owner.page.get_by_label("Role").select_option("developer")
    owner.page.get_by_role("button", name="Send invitation").click()
    guest = Shopper("invitee@example.com", browsers.open(), stack)
    page = guest.page
    page.goto(mailed_link(stack, guest.email, INVITED))
    page.get_by_role("main").get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(guest.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.goto(mailed_link(stack, guest.email, CONFIRM))
    page.get_by_role("button", name="Yes, it is mine").click()
    page.goto(mailed_link(stack, guest.email, INVITED))
    page.get_by_role("button", name="Join the team").click()

    # The owner's key came with the pack; the guest has none, and needs none for this.
    expect(page.get_by_role("main")).to_contain_text("Create one")
    keep(page, "playground/invited")
    page.get_by_role("link", name="Send a test request").click()
    page.get_by_role("button", name="Send", exact=True).click()
    chat = page.get_by_role("region", name="gpt-4", exact=True)
    expect(chat).to_contain_text(re.compile(r"\d+ credits charged"), timeout=30_000)

    owner.page.goto("/dashboard/usage/")
    rows = owner.page.get_by_title("Open the receipt")
    await_true(lambda: owner.page.reload() and rows.count(), what="the receipt")
