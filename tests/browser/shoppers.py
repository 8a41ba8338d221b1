"""Customers of the running product, made as customers make themselves: through its own pages."""

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Any

import httpx
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from playwright.sync_api import Page, expect

from devstack.stack import Stack
from tests.stripe_sandbox import Sandbox
from tests.waiting import await_true

PASSWORD = "a pelican reads the ledger"
RESET = re.compile(r"http://\S+/accounts/password/reset/key/\S+")
CONFIRM = re.compile(r"http://\S+/accounts/confirm-email/\S+/")
INVITED = re.compile(r"http://\S+/invitations/\S+/")
PACK_PRICES = {"starter": "$5.00", "builder": "$20.00", "scale": "$80.00"}


@dataclass
class Shopper:
    """Someone who is logged in in `page`."""

    email: str
    page: Page
    stack: Stack
    # Each key's secret by its name.
    secrets: dict[str, str] = field(default_factory=dict)

    def create_key(self, name: str) -> str:
        """Create a key on its page; the secret is shown there once."""
        self.page.goto("/dashboard/keys/")
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_role("button", name="Create key").click()
        self.secrets[name] = self.page.locator("#new-secret").inner_text()
        return self.secrets[name]

    def order(self, slug: str) -> str:
        """Go as far as the payment page and return the session's id."""
        self.page.goto(f"/billing/checkout/{slug}/")
        self.page.get_by_role("button", name="Continue to payment").click()
        expect(self.page).to_have_url(re.compile(f"^{self.stack.stripe_url}/c/pay/"))
        return self.page.url.rpartition("/")[2]

    def buy(self, slug: str) -> str:
        """Pay for a pack and wait on the return page; return the session's id."""
        session_id = self.order(slug)
        self.page.get_by_role("button", name=f"Pay {PACK_PRICES[slug]}").click()
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("credits are yours")
        return session_id

    def order_by_bank(self, slug: str) -> str:
        """Pay by a debit that takes days, and be back; return the session's id."""
        session_id = self.order(slug)
        self.page.get_by_role("button", name="Pay by bank debit, which takes days").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Your payment is on its way")
        return session_id

    def ask(self, model: str, text: str = "Hello!", **more: Any) -> httpx.Response:
        """Call the API with the first key."""
        return httpx.post(
            f"{self.stack.url}/v1/chat/completions",
            json={"model": model, "messages": [{"role": "user", "content": text}], **more},
            headers={"Authorization": f"Bearer {next(iter(self.secrets.values()))}"},
            timeout=30,
        )

    def hang_up(self, model: str) -> None:
        """Start a slow stream and leave after its first bytes."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "say 40 words [[tps=20]]"}],
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {next(iter(self.secrets.values()))}"}
        url = f"{self.stack.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as answer:
            for _ in zip(answer.iter_bytes(), range(5), strict=False):
                pass


def sign_up(page: Page, stack: Stack, name: str) -> Shopper:
    """Create an account and be logged in."""
    email = f"{name}@example.com"
    page.goto("/accounts/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    return Shopper(email, page, stack)


def code_of(secret: str, *, later: int = 0) -> str:
    counter = list(yield_hotp_counters_from_time())[-1] + later
    return str(format_hotp_value(hotp_value(secret, counter)))


def log_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the log-in page and send it, whatever comes of it."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()


def mailed_link(stack: Stack, email: str, link: re.Pattern[str]) -> str:
    """Return the newest such link that someone was mailed."""
    await_true(lambda: link.search(mailed(stack, email)), what="the mail")
    return str(link.findall(mailed(stack, email))[0])


def mailed(stack: Stack, email: str) -> str:
    """Return all that someone was mailed, newest first."""
    mails = httpx.get(f"{stack.mail_url}/messages.json", trust_env=False).json()
    return "\n".join(mail["text"] for mail in mails if mail["to"] == email)


def pay_with(page: Page, *, card: str) -> None:
    """Fill in another card on Stripe's page and press its button."""
    page.get_by_label("Card number").fill(card)
    page.get_by_role("button", name=re.compile(r"^Pay \S+$")).click()


def at_stripe(stack: Stack) -> AbstractContextManager[Sandbox]:
    """What happens on Stripe's side, or at a bank."""
    return closing(Sandbox(stack.stripe_url, stack.env["STRIPE_SECRET_KEY"]))


def expire(stack: Stack, session_id: str) -> None:
    """End a payment page as its time does."""
    with at_stripe(stack) as stripe:
        stripe.expire(session_id)


def confirm_debit(stack: Stack, session_id: str) -> None:
    """The money of a bank debit arrives."""
    with at_stripe(stack) as stripe:
        stripe.end_debit(stripe.intent_id(session_id), "succeed")


def fail_debit(stack: Stack, session_id: str) -> None:
    """The bank has no such money."""
    with at_stripe(stack) as stripe:
        stripe.end_debit(stripe.intent_id(session_id), "fail")


def refund(stack: Stack, session_id: str) -> None:
    """Give a payment back as its seller would, at Stripe."""
    with at_stripe(stack) as stripe:
        stripe.refund(stripe.intent_id(session_id))


def dispute(stack: Stack, session_id: str) -> str:
    """Have the customer's bank dispute a payment; return the dispute's id."""
    with at_stripe(stack) as stripe:
        return stripe.dispute(stripe.charge_id(stripe.intent_id(session_id)))


def end_dispute(stack: Stack, dispute_id: str, how: str) -> None:
    """The bank decides: `win` or `lose`."""
    with at_stripe(stack) as stripe:
        stripe.end_dispute(dispute_id, how)


def wait_for_models(customer: Shopper, models: Iterable[str]) -> None:
    """A web process reads the catalogue every few seconds."""
    headers = {"Authorization": f"Bearer {next(iter(customer.secrets.values()))}"}

    def listed() -> set[str]:
        answer = httpx.get(f"{customer.stack.url}/v1/models", headers=headers)
        return {model["id"] for model in answer.json()["data"]} if answer.is_success else set()

    await_true(lambda: set(models) <= listed(), what="the models to be listed")
