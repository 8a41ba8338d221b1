"""Stripe, recorded stage by stage from the emulator and played back over HTTP.

An order's life at Stripe is a film: what its session, charge and disputes look like after each
thing that happens to them. The projector shows any stage at once, forwards and back, which lets a
test try every order in which we may hear of them, at the price of a GET.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from billing.models import Order
from tests.stripe_sandbox import API_KEY, Sandbox

Stage = dict[str, Any]
WARNING_ID = "issfr_of_the_film"


@dataclass
class Film:
    """The stages of one order's life, the first one before anything was paid."""

    order: Order
    stages: list[Stage] = field(default_factory=list)
    charge_id: str = ""


def shoot(sandbox: Sandbox, film: Film) -> None:
    """Record how the order stands at Stripe now."""
    session_id = film.order.stripe_session_id
    session = _get(
        sandbox,
        f"/v1/checkout/sessions/{session_id}",
        ("payment_intent.latest_charge.refunds", "invoice"),
    )
    stage: Stage = {f"/v1/checkout/sessions/{session_id}": session}
    intent = session["payment_intent"]
    charge = intent["latest_charge"] if intent else None
    if charge:
        film.charge_id = charge["id"]
        stage[f"/v1/charges/{film.charge_id}"] = charge
        for kind in ("disputes", "refunds"):
            found = _get(sandbox, f"/v1/{kind}", charge=film.charge_id)
            stage[f"/v1/{kind}"] = found
        warning = {"id": WARNING_ID, "charge": film.charge_id, "actionable": True}
        stage[f"/v1/radar/early_fraud_warnings/{WARNING_ID}"] = {
            "object": "radar.early_fraud_warning",
            **warning,
        }
    film.stages.append(stage)


def _get(sandbox: Sandbox, path: str, expand: tuple[str, ...] = (), **query: str) -> dict[str, Any]:
    params = {**query, **{f"expand[{n}]": name for n, name in enumerate(expand)}}
    answer = sandbox.http.get(path, params=params, auth=(API_KEY, ""))
    answer.raise_for_status()
    return dict(answer.json())


class Projector:
    """An HTTP server that shows one stage of a film at a time."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.film: Film | None = None
        self.at = 0
        # What a POST turns the film to, and what it answers: a refund that we ask for.
        self.refund: tuple[int, dict[str, Any]] | None = None
        self.posts = 0

    def answer(self, method: str, target: str) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(target)
        if method == "POST":
            assert self.refund is not None, f"Nothing is to be posted to {target}."
            assert parts.path == "/v1/refunds"
            self.posts += 1
            # As with an idempotency key: the second time is answered like the first.
            self.at, refund = self.refund
            return 200, refund
        assert self.film is not None
        stage = self.film.stages[self.at]
        found = stage.get(parts.path)
        asked = parse_qs(parts.query).get("charge", [self.film.charge_id])
        if found is None or asked != [self.film.charge_id]:
            error = {"type": "invalid_request_error", "code": "resource_missing", "message": "No."}
            return 404, {"error": error}
        return 200, found


@contextmanager
def project() -> Iterator[Projector]:
    """Run a projector, on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.projector = projector = Projector(server)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield projector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    # Connections are kept, and answers leave in one packet.
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer()

    def _answer(self) -> None:
        projector: Projector = self.server.projector  # type: ignore[attr-defined]
        status, body = projector.answer(self.command, self.path)
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Request-Id", "req_of_the_film")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
