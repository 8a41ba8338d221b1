"""The walk over what we assume of Stripe, here against the emulator; a test plays the person."""

import io
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from billing.stripe_api.assumptions import CHECKS
from tests.stripe_sandbox import Sandbox

CHAPTER = (Path(__file__).parents[3] / "docs" / "stripe-assumptions.md").read_text()


class Person(io.StringIO):
    """Reads what is printed, and pays the page that is named."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox

    def write(self, text: str) -> int:
        if "Please pay" in text and (page := re.search(r"cs_test_\w+", text)):
            assert self.sandbox.pay(page[0]) == 200
        return super().write(text)


def marks(text: str) -> dict[str, str]:
    """Return how each check went."""
    lines = re.findall(r"^(ok|skipped|DIFFERS) +([^:\n]+)", text, re.MULTILINE)
    return {name.strip(): mark for mark, name in lines}


def test_the_emulator_is_as_the_product_assumes(sandbox: Sandbox) -> None:
    person = Person(sandbox)

    call_command("check_stripe", stdout=person)

    assert marks(person.getvalue()) == dict.fromkeys(CHECKS, "ok")
    # It leaves no customer and no open page behind.
    assert sandbox.client.v1.customers.list().data == []
    sessions = sandbox.client.v1.checkout.sessions.list().data
    assert {session.status for session in sessions} == {"complete", "expired"}


def test_without_a_person_one_check_is_left_out(sandbox: Sandbox) -> None:
    out = io.StringIO()

    call_command("check_stripe", "--person-s", "0", stdout=out)

    left_out = [name for name, mark in marks(out.getvalue()).items() if mark != "ok"]
    assert left_out == ["a Checkout is paid as it was asked for"]


def test_what_differs_is_told_and_fails(sandbox: Sandbox) -> None:
    out = io.StringIO()
    # The key of an account that may do only this.
    sandbox.control("permissions", customer="write", event="read")

    try:
        with pytest.raises(CommandError, match="Stripe differs"):
            call_command("check_stripe", "--person-s", "0", stdout=out)
    finally:
        sandbox.control("permissions")

    assert marks(out.getvalue())["a set-up offers the kinds that are allowed"] == "DIFFERS"


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1", "sk_1"])
def test_it_refuses_every_key_that_is_not_of_test_mode(
    key: str, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_SECRET_KEY = key
    settings.STRIPE_LIVE_MODE = "_live_" in key

    with pytest.raises(CommandError, match="test mode"):
        call_command("check_stripe")

    assert sandbox.client.v1.customers.list().data == []


def test_the_chapter_has_every_check_and_a_source_for_each_row() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", CHAPTER, re.MULTILINE)[1:]
    walked = [name for name, _, _, how in rows if how == "walked"]

    assert walked == list(CHECKS)
    for _, _, source, _ in rows:
        assert "https://docs.stripe.com/" in source
        assert re.search(r"2026-\d\d-\d\d", source)
