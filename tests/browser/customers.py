"""Customers of the running product, made as customers make themselves: through its own pages."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from devstack.stack import Stack

PASSWORD = "a pelican reads the ledger"
PACK_PRICES = {"starter": "$5.00", "builder": "$20.00", "scale": "$80.00"}
# How long the worker may take for what it does every second or two.
PATIENCE_S = 20.0


@dataclass
class Customer:
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


def sign_up(page: Page, stack: Stack, name: str) -> Customer:
    """Create an account and be logged in."""
    email = f"{name}@example.com"
    page.goto("/accounts/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    return Customer(email, page, stack)


def pay_with(page: Page, *, card: str) -> None:
    """Fill in another card on Stripe's page and press its button."""
    page.get_by_label("Card number").fill(card)
    page.get_by_role("button", name=re.compile(r"^Pay \S+$")).click()


def expire(stack: Stack, session_id: str) -> None:
    """End a payment page as its time does."""
    httpx.post(f"{stack.stripe_url}/sandbox/checkout/{session_id}/expire").raise_for_status()


def confirm_debit(stack: Stack, session_id: str) -> None:
    """The money of a bank debit arrives."""
    end_debit(stack, session_id, "succeed")


def fail_debit(stack: Stack, session_id: str) -> None:
    """The bank has no such money."""
    end_debit(stack, session_id, "fail")


def end_debit(stack: Stack, session_id: str, how: str) -> None:
    intent = read_session(stack, session_id)["payment_intent"]
    httpx.post(f"{stack.stripe_url}/sandbox/payment_intents/{intent}/{how}").raise_for_status()


def refund(stack: Stack, session_id: str) -> None:
    """Give a payment back as its seller would, at Stripe."""
    intent = read_session(stack, session_id)["payment_intent"]
    with stripe(stack) as api:
        api.post("/v1/refunds", data={"payment_intent": intent}).raise_for_status()


def dispute(stack: Stack, session_id: str) -> str:
    """Have the customer's bank dispute a payment; return the dispute's id."""
    intent = read_session(stack, session_id)["payment_intent"]
    with stripe(stack) as api:
        charge = api.get(f"/v1/payment_intents/{intent}").raise_for_status().json()["latest_charge"]
        opened = api.post(f"/sandbox/charges/{charge}/dispute").raise_for_status().json()
    return str(opened["id"])


def end_dispute(stack: Stack, dispute_id: str, how: str) -> None:
    """The bank decides: `win` or `lose`."""
    httpx.post(f"{stack.stripe_url}/sandbox/disputes/{dispute_id}/{how}").raise_for_status()


def read_session(stack: Stack, session_id: str) -> dict[str, Any]:
    """What Stripe's API says of a payment page."""
    with stripe(stack) as api:
        answer = api.get(f"/v1/checkout/sessions/{session_id}").raise_for_status()
    session: dict[str, Any] = answer.json()
    return session


def stripe(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.stripe_url, auth=(stack.env["STRIPE_SECRET_KEY"], ""))


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Ask again and again until something that happens elsewhere has happened."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(0.1)


def wait_for_models(customer: Customer, models: Iterable[str]) -> None:
    """A web process reads the catalogue every few seconds."""
    headers = {"Authorization": f"Bearer {next(iter(customer.secrets.values()))}"}

    def listed() -> set[str]:
        answer = httpx.get(f"{customer.stack.url}/v1/models", headers=headers)
        return {model["id"] for model in answer.json()["data"]} if answer.is_success else set()

    wait_until(lambda: set(models) <= listed(), "the models are listed")
