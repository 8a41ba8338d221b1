"""What the tests drive the emulator with: its process in a thread, and a webhook endpoint."""

import queue
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import stripe
import uvicorn

from sandbox.stripe.app import build_app
from sandbox.stripe.config import Config

API_KEY = "sk_test_of_the_emulator"
WEBHOOK_SECRET = "whsec_of_the_emulator"

# Long enough for a busy machine, short enough to fail before the test's own time-out.
PATIENCE_S = 20


@dataclass
class Hook:
    """One webhook as it arrived."""

    body: bytes
    headers: dict[str, str]

    def event(self, secret: str = WEBHOOK_SECRET) -> stripe.Event:
        signature = self.headers["stripe-signature"]
        event = stripe.Webhook.construct_event(self.body, signature, secret, api_key=API_KEY)
        assert isinstance(event, stripe.Event)
        return event


@dataclass
class Endpoint:
    """A webhook endpoint that answers what it is told to, 200 otherwise."""

    hooks: "queue.Queue[Hook]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[int]" = field(default_factory=queue.Queue)
    # Cleared, it lets the endpoint take a webhook and not answer.
    may_answer: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        endpoint = self
        self.may_answer.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = 200 if endpoint.answers.empty() else endpoint.answers.get()
                endpoint.hooks.put(Hook(body, headers))
                endpoint.may_answer.wait(PATIENCE_S)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def next(self) -> stripe.Event:
        return self.hooks.get(timeout=PATIENCE_S).event()

    def take(self, count: int) -> dict[str, stripe.Event]:
        """Wait for so many events; return them by type."""
        events = [self.next() for _ in range(count)]
        return {event.type: event for event in events}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(PATIENCE_S)


@dataclass
class Emulator:
    """The emulator on a port of its own; stopping and starting it keeps its data."""

    data_dir: Path
    webhook_url: str
    retry_delays_s: tuple[float, ...] = (0.05, 0.05, 0.05)

    def start(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        config = Config(
            data_dir=self.data_dir,
            api_key=API_KEY,
            webhook_secret=WEBHOOK_SECRET,
            webhook_url=self.webhook_url,
            public_url=self.url,
            retry_delays_s=self.retry_delays_s,
        )
        self.server = uvicorn.Server(
            uvicorn.Config(
                build_app(config), log_level="error", ws="none", timeout_graceful_shutdown=3
            )
        )
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True
        )
        self.thread.start()
        # The socket listens already, so this waits in its queue until the process serves.
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        assert self.http.get("/healthz").status_code == 200
        self.client = self.new_client()

    def stop(self) -> None:
        self.client.close()
        self.http.close()
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.listener.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def failing(self, kind: str, path: str, value: str) -> Iterator[None]:
        """Let the database refuse each new object of a kind with this value at a JSON path."""
        database = sqlite3.connect(self.data_dir / "stripe.sqlite3", isolation_level=None)
        database.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON objects"
            f" WHEN new.kind = '{kind}' AND json_extract(new.body, '{path}') = '{value}'"
            " BEGIN SELECT raise(ABORT, 'the disk is full'); END"
        )
        yield
        database.execute("DROP TRIGGER broken")
        database.close()

    def new_client(self, key: str = API_KEY, *, timeout_s: float = PATIENCE_S) -> "Client":
        return Client(self.url, key, timeout_s=timeout_s)

    def session(self, **changes: Any) -> stripe.checkout.Session:
        return self.client.sessions.create(order(**changes))

    def pay(self, session_id: str, **given: str) -> httpx.Response:
        return self.http.post(f"/sandbox/checkout/{session_id}/pay", json=given)

    def paid(self, **changes: Any) -> stripe.checkout.Session:
        """Return a session that was created and paid, with its PaymentIntent and charge."""
        session = self.session(**changes)
        assert self.pay(session.id).status_code == 200
        return self.client.sessions.retrieve(
            session.id, {"expand": ["payment_intent.latest_charge"]}
        )

    def saved(self, card: str, **given: str) -> stripe.PaymentMethod:
        """Return a card that a new customer saved without paying (`mode=setup`)."""
        session = self.client.sessions.create(setup())
        answer = self.pay(session.id, card=card, authentication="pass", **given)
        assert answer.status_code == 200, answer.text
        setup_intent = self.client.setups.retrieve(str(session.setup_intent))
        return self.client.methods.retrieve(str(setup_intent.payment_method))

    def control(self, path: str, /, **given: Any) -> Any:
        response = self.http.post(f"/sandbox/{path}", json=given)
        assert response.status_code == 200, response.text
        return response.json()

    def state(self) -> Any:
        return self.http.get("/sandbox/state").json()

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """POST a form past the SDK, which would not send some of them."""
        return self.http.post(
            path, data=form, headers={"Authorization": f"Bearer {API_KEY}", **headers}
        )


class Client:
    """The real SDK, pointed at the emulator, without retries of its own."""

    def __init__(self, url: str, key: str, *, timeout_s: float = PATIENCE_S) -> None:
        self.transport = stripe.RequestsClient(timeout=timeout_s)
        self.stripe = stripe.StripeClient(
            key,
            base_addresses={"api": url},
            http_client=self.transport,
            max_network_retries=0,
        )
        self.sessions = self.stripe.v1.checkout.sessions
        self.customers = self.stripe.v1.customers
        self.intents = self.stripe.v1.payment_intents
        self.charges = self.stripe.v1.charges
        self.refunds = self.stripe.v1.refunds
        self.events = self.stripe.v1.events
        self.products = self.stripe.v1.products
        self.prices = self.stripe.v1.prices
        self.coupons = self.stripe.v1.coupons
        self.codes = self.stripe.v1.promotion_codes
        self.invoices = self.stripe.v1.invoices
        self.methods = self.stripe.v1.payment_methods
        self.setups = self.stripe.v1.setup_intents
        self.disputes = self.stripe.v1.disputes
        self.warnings = self.stripe.v1.radar.early_fraud_warnings

    def close(self) -> None:
        self.transport.close()  # type: ignore[no-untyped-call]


def order(**changes: Any) -> Any:
    """Return parameters of a $12.50 session; a change to None leaves a parameter out."""
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [
            {
                "price_data": {
                    "currency": "usd",
                    "unit_amount": 1250,
                    "product_data": {"name": "Starter pack", "description": "1,000,000 tokens"},
                },
                "quantity": 1,
            }
        ],
        "success_url": "http://shop.example/return?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://shop.example/packs/",
        "client_reference_id": "order-7",
        "metadata": {"order_id": "7"},
        "payment_intent_data": {"metadata": {"order_id": "7"}},
    }
    merged = {**params, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def setup(**changes: Any) -> Any:
    """Return parameters of a session that saves a card of a new customer."""
    params: dict[str, Any] = {
        "mode": "setup",
        "currency": "usd",
        "success_url": "http://shop.example/saved",
        "customer_creation": "always",
        "setup_intent_data": {"metadata": {"user_id": "3"}},
    }
    return {**params, **changes}


def off_session(method: stripe.PaymentMethod, **changes: Any) -> Any:
    """Return parameters of a $20 payment with a saved method, without its owner."""
    params: dict[str, Any] = {
        "amount": 2000,
        "currency": "usd",
        "customer": str(method.customer),
        "payment_method": method.id,
        "confirm": True,
        "off_session": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "metadata": {"order_id": "8"},
    }
    merged = {**params, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def refusal(call: Callable[[], object]) -> stripe.StripeError:
    """Return the error that the SDK raised for a call."""
    try:
        call()
    except stripe.StripeError as error:
        return error
    raise AssertionError("the emulator accepted it")


def charge_of(session: stripe.checkout.Session) -> stripe.Charge:
    """Return the charge that paid a session which `Emulator.paid` made."""
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert isinstance(session.payment_intent.latest_charge, stripe.Charge)
    return session.payment_intent.latest_charge


def types_of(client: Client, group: str) -> list[str]:
    """Return the types of a group's events (`charge.*`), in the order they were written."""
    listed = client.events.list({"type": group, "limit": 100}).data
    return [str(event.type) for event in listed][::-1]
