"""The running product as its users meet it, and what the tests may know of its insides."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx

from devstack.environment import ROOT
from devstack.stack import Stack
from tests.waiting import PATIENCE_S, await_true

# One credit per token of each class.
ONE_EACH = [1_000, 1_000, 1_000]


class Clerk:
    """The process of `tests.stack.clerk`, to whom orders are given."""

    def __init__(self, stack: Stack) -> None:
        with (stack.folder / "log" / "clerk.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.stack.clerk"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=stack.env,
            )

    def order(self, name: str, **arguments: Any) -> Any:
        """Have something done and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the clerk ended with {self._process.wait()}"
        reply = json.loads(line)
        assert "error" not in reply, f"{name}: {reply['error']}"
        return reply["answer"]

    def close(self) -> None:
        """Send the clerk home."""
        self._process.communicate(timeout=10)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One usage record."""

    request_id: str
    wallet_id: int
    model_name: str
    provider_name: str
    is_stream: bool
    attempts: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    outcome: str
    source: str
    held_credits: int
    target_credits: int
    charged_credits: int
    write_off_credits: int


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody with a key."""

    email: str
    secret: str
    wallet_id: int
    key_id: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


class Shop:
    """The product of a stack, its customers, and the upstream's own account of what it served."""

    def __init__(self, stack: Stack, clerk: Clerk) -> None:
        self.stack = stack
        self.clerk = clerk
        self.http = httpx.Client(base_url=stack.url, timeout=30, trust_env=False)
        self._customers = 0
        self._passer_by: Customer | None = None

    def open_account(
        self, *, credits: int, caps: Mapping[str, int] = MappingProxyType({}), **limits: int
    ) -> Customer:
        """Make a customer with a balance, known to Redis, and a key with these limits.

        `caps` are those of the customer in their own team.
        """
        self._customers += 1
        customer = Customer(
            **self.clerk.order(
                "open_account",
                email=f"customer-{self._customers}@example.com",
                credits=credits,
                limits=limits,
                caps=dict(caps),
            )
        )
        assert self.balance(customer)["available"] == credits
        return customer

    def sell(
        self,
        *models: str,
        provider: str = "stage",
        rates: list[int] = ONE_EACH,
        limits: Mapping[str, int] = MappingProxyType({}),
        routes: Mapping[str, list[str]] = MappingProxyType({}),
    ) -> None:
        """Sell models of the sandbox under their own names, or others routed to them in turn.

        They can be called on every web process when this returns.
        """
        wanted = {model: [model] for model in models} | dict(routes)
        account = {
            "name": provider,
            "base_url": f"{self.stack.upstream_url}/v1",
            "secret": self.stack.env["SANDBOX_UPSTREAM_KEY"],
            "limits": dict(limits),
        }
        self.clerk.order("sell", provider=account, routes=wanted, rates=rates)
        await_true(
            lambda: all(wanted.keys() <= self._on_sale(url) for url in self.stack.web_urls),
            what="new models to be on sale",
        )

    def _on_sale(self, url: str) -> set[str]:
        if self._passer_by is None:
            self._passer_by = self.open_account(credits=0)
        listed = self.http.get(f"{url}/v1/models", headers=self._passer_by.headers)
        return {model["id"] for model in listed.json()["data"]}

    def chat(
        self, customer: Customer, *, web: int = 0, model: str = "gpt-4", **body: Any
    ) -> httpx.Response:
        """Send a chat completion to one of the web processes."""
        return self.http.post(
            f"{self.stack.web_urls[web]}/v1/chat/completions",
            headers=customer.headers,
            json={"model": model, "messages": say("Hello!"), **body},
        )

    def balance(self, customer: Customer) -> dict[str, int]:
        """Ask the API for a balance."""
        response = self.http.get("/v1/credits", headers=customer.headers)
        assert response.status_code == 200, response.text
        figures = response.json()
        assert figures["debt_credits"] == 0
        return {name: figures[f"{name}_credits"] for name in ("available", "held", "posted")}

    def await_rest(self, *, within_s: float = PATIENCE_S) -> None:
        """Wait until every hold has ended and everything is booked."""
        await_true(
            lambda: bool(self.clerk.order("is_at_rest")),
            what="the books to rest",
            within_s=within_s,
        )

    def settled(self, customer: Customer) -> int:
        """Wait until everything is booked, and return the balance."""
        self.await_rest()
        return self.balance(customer)["available"]

    def receipts(self, *customers: Customer) -> list[Receipt]:
        """Read the receipts that are booked, oldest first."""
        wallet_ids = [customer.wallet_id for customer in customers]
        return [Receipt(**row) for row in self.clerk.order("receipts", wallet_ids=wallet_ids)]

    def ledger(self, email: str) -> list[dict[str, Any]]:
        """Read somebody's ledger, oldest first."""
        entries: list[dict[str, Any]] = self.clerk.order("ledger", email=email)
        return entries

    def await_webhooks(self) -> None:
        """Wait until everything that Stripe has to tell is told and processed."""
        await_true(self._has_heard_stripe_out, what="Stripe's events to be processed")

    def _has_heard_stripe_out(self) -> bool:
        state = self.http.get(f"{self.stack.stripe_url}/sandbox/state").json()
        is_told = all(delivery["status"] == "delivered" for delivery in state["deliveries"])
        return is_told and not self.clerk.order("has_unprocessed_events")

    def audit(self) -> list[str]:
        """Check the books at rest, and return what is wrong."""
        findings: list[str] = self.clerk.order("audit")
        return findings


def say(text: str) -> list[dict[str, str]]:
    """The messages of a conversation of one line."""
    return [{"role": "user", "content": text}]


class Upstream:
    """The upstream emulator's own account of what it served."""

    def __init__(self, url: str) -> None:
        self._url = url

    def last_number(self) -> int:
        """The number of the newest request, to read on from."""
        return self._await_ended()["received"]

    def served(self, *, after: int) -> list[dict[str, Any]]:
        """Every request after a number, once all have ended."""
        self._await_ended()
        rows: list[dict[str, Any]] = []
        while page := self._page(rows[-1]["number"] if rows else after):
            rows += page
        return rows

    def _await_ended(self) -> dict[str, int]:
        await_true(lambda: not self._totals()["open"], what="the upstream to end")
        return self._totals()

    def _totals(self) -> dict[str, int]:
        tally = httpx.get(f"{self._url}/control/tally", trust_env=False).json()
        totals: dict[str, int] = tally["totals"]
        return totals

    def _page(self, after: int) -> list[dict[str, Any]]:
        given = {"after": after, "limit": 10_000}
        page = httpx.get(f"{self._url}/control/requests", params=given, trust_env=False)
        return [json.loads(line) for line in page.text.splitlines()]
