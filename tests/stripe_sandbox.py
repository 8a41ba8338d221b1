"""What the tests drive the Stripe emulator with: a process of its own, spoken to over HTTP."""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import stripe
from pytest_django import Settings

from devstack.ports import free_port
from devstack.process import Process

API_KEY = "sk_test_of_the_payment_tests"
WEBHOOK_SECRET = "whsec_of_the_payment_tests"
PATIENCE_S = 20
PAYS = "4242424242424242"
DECLINES = "4000000000000002"


@dataclass
class Sandbox:
    """A running emulator."""

    url: str
    api_key: str = API_KEY
    # Where it keeps its objects, of one that the tests have started.
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        self.transport = stripe.RequestsClient()
        self.client = stripe.StripeClient(
            self.api_key, base_addresses={"api": self.url}, http_client=self.transport
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.http.get("/healthz").raise_for_status()
                break
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                # A process that starts has no event that another could wait for.
                time.sleep(0.05)

    def control(self, action: str, **given: Any) -> dict[str, Any]:
        answer = self.http.post(f"/sandbox/{action}", json=given)
        answer.raise_for_status()
        return dict(answer.json())

    def session(self, session_id: str | None) -> stripe.checkout.Session:
        assert session_id
        return self.client.v1.checkout.sessions.retrieve(session_id)

    def pay(self, session_id: str | None, *, card: str = PAYS) -> int:
        """Pay as the Checkout page would; return the HTTP status."""
        return self.http.post(
            f"/sandbox/checkout/{session_id}/pay", json={"card": card}
        ).status_code

    def expire(self, session_id: str | None) -> None:
        """End a payment page as its time does."""
        self.control(f"checkout/{session_id}/expire")

    def end_debit(self, payment_intent_id: str, how: str) -> None:
        """The bank has the money, or not: `succeed` or `fail`."""
        self.control(f"payment_intents/{payment_intent_id}/{how}")

    def refund(self, payment_intent_id: str, amount_cents: int | None = None) -> None:
        """Give a payment back as its seller would, or so much of it."""
        wanted: Any = {"payment_intent": payment_intent_id}
        if amount_cents is not None:
            wanted["amount"] = amount_cents
        self.client.v1.refunds.create(wanted)

    def dispute(self, charge_id: str, **given: Any) -> str:
        """Open a dispute, or an inquiry, and return its id."""
        self.control(f"charges/{charge_id}/dispute", **given)
        return self.client.v1.disputes.list({"charge": charge_id, "limit": 1}).data[0].id

    def end_dispute(self, dispute_id: str, how: str) -> None:
        """The bank decides: `win` or `lose`."""
        self.control(f"disputes/{dispute_id}/{how}")

    def intent_id(self, session_id: str) -> str:
        """Return the payment of a payment page."""
        intent = self.session(session_id).payment_intent
        assert isinstance(intent, str)
        return intent

    def refund_ids(self, charge_id: str) -> list[str]:
        """Return a charge's refunds, the oldest first."""
        found = self.client.v1.refunds.list({"charge": charge_id, "limit": 100})
        return [refund.id for refund in reversed(found.data)]

    def charge_id(self, payment_intent_id: str) -> str:
        charge = self.client.v1.payment_intents.retrieve(payment_intent_id).latest_charge
        return charge if isinstance(charge, str) else charge.id if charge else ""

    def tamper(self, object_id: str | None, **values: Any) -> None:
        """Change what Stripe says of an object, behind its API."""
        with self._behind() as database:
            for name, value in values.items():
                database.execute(
                    "UPDATE objects SET body = json_set(body, ?, json(?)) WHERE id = ?",
                    (f"$.{name}", json.dumps(value), object_id),
                )

    def forget(self) -> None:
        """Be an account that nobody has used yet: what it lists would grow with every test."""
        with self._behind() as database:
            database.execute("DELETE FROM objects")

    @contextmanager
    def _behind(self) -> Iterator[sqlite3.Connection]:
        """Open the emulator's file, for one transaction."""
        assert self.data_dir is not None
        database = sqlite3.connect(self.data_dir / "stripe.sqlite3", timeout=PATIENCE_S)
        # Nobody misses it after a power cut.
        database.execute("PRAGMA synchronous = OFF")
        with database:
            yield database
        database.close()

    def session_count(self) -> int:
        return sum(
            1 for _ in self.client.v1.checkout.sessions.list({"limit": 100}).auto_paging_iter()
        )

    def close(self) -> None:
        self.http.close()
        self.transport.close()  # type: ignore[no-untyped-call]


@contextmanager
def start_sandbox(data_dir: Path) -> Iterator[Sandbox]:
    """Run an emulator. Its webhooks are off: a test posts the event that it means."""
    port = free_port()
    argv = [sys.executable, "-m", "sandbox.stripe", "--port", str(port)]
    argv += ["--data-dir", str(data_dir)]
    argv += ["--api-key", API_KEY, "--webhook-secret", WEBHOOK_SECRET]
    argv += ["--webhook-url", "http://127.0.0.1:9/nobody"]
    process = Process("stripe", argv, output=data_dir / "log")
    process.start()
    sandbox = Sandbox(f"http://127.0.0.1:{port}", data_dir=data_dir)
    try:
        sandbox.wait_until_ready()
        sandbox.control("webhooks", mode="off")
        yield sandbox
    finally:
        sandbox.close()
        process.stop()


def use_sandbox(sandbox: Sandbox, settings: Settings) -> None:
    """Set the site up to use it."""
    settings.STRIPE_API_BASE = sandbox.url
    settings.STRIPE_SECRET_KEY = API_KEY
    settings.STRIPE_WEBHOOK_SECRETS = [WEBHOOK_SECRET]
    settings.STRIPE_LIVE_MODE = False


def event_body(kind: str, *, event_id: str = "", **subject: Any) -> bytes:
    """Return an event as Stripe would post it; without an id, one that is new."""
    event = {
        "id": event_id or f"evt_{kind.replace('.', '_')}_{time.monotonic_ns()}",
        "object": "event",
        "api_version": stripe.api_version,
        "created": int(time.time()),
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        "data": {"object": subject},
    }
    return json.dumps(event).encode()


def sign(body: bytes, *, secret: str = WEBHOOK_SECRET, age_s: int = 0) -> str:
    """Return the signature header of a body that was signed so long ago."""
    header: str = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, timestamp=int(time.time()) - age_s
    )
    return header
