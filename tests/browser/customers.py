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
        self.page.get_by_label("Name").fill(name)
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
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("tokens are yours")
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
