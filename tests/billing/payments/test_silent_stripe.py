"""While Stripe does not answer, its sweeps leave the worker's other threads alone."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.models import Order, Pack, Refund, StripeEvent
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.refunds import advance_refunds, refund_amount
from billing.stripe_inbox.events import process_due_events, receive_event
from billing.stripe_inbox.open_orders import check_open_orders
from billing.tasks import stripe as tasks
from billing.tasks.stripe_slots import MOST_WAITING, with_slot
from devstack.ports import free_port
from tests.billing.payments.conftest import status_of
from tests.stripe_sandbox import Sandbox, event_body, sign
from tests.till import Till

PATIENCE_S = 10


@dataclass
class Silence:
    """A server that takes every call and answers none until it is told to."""

    calls: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    is_over: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def wait_for_calls(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls >= number, PATIENCE_S)


@pytest.fixture
def silence(settings: Settings) -> Iterator[Silence]:
    silence = Silence()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with silence.changed:
                silence.calls += 1
                silence.changed.notify_all()
            silence.is_over.wait(PATIENCE_S)
            error = {"type": "invalid_request_error", "code": "resource_missing", "message": "No."}
            body = json.dumps({"error": error}).encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    silence.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield silence
    finally:
        silence.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def receive(kind: str, object_id: str) -> StripeEvent:
    body = event_body(kind, id=object_id)
    return receive_event(body, sign(body))


def apart(sweep: Callable[[], int]) -> int:
    """Run a sweep as a thread of the worker does."""
    try:
        return sweep()
    finally:
        connection.close()


def test_two_threads_wait_for_stripe_and_the_others_go_on(
    order: Order, silence: Silence, settings: Settings
) -> None:
    for number in range(4):
        receive("checkout.session.completed", f"cs_test_{number}")
    Order.objects.update(next_check_at=timezone.now())
    settings.STRIPE_API_BASE = silence.url

    with ThreadPoolExecutor(4) as pool:
        events = pool.submit(apart, tasks.process_stripe_events)
        silence.wait_for_calls(1)
        # A second sweep of a kind returns at once.
        assert pool.submit(apart, tasks.process_stripe_events).result(PATIENCE_S / 2) is None
        orders = pool.submit(apart, tasks.sweep_open_orders)
        silence.wait_for_calls(2)
        silence.is_over.set()
        done = events.result(), orders.result()

    assert done == (4, 1)
    # The turns were given back.
    assert tasks.process_stripe_events() == 0
    receive("product.updated", "prod_1")
    assert tasks.process_stripe_events() == 1


def test_two_kinds_of_sweeps_run_at_once_and_no_third() -> None:
    @with_slot
    def third() -> int:
        return 1

    @with_slot
    def second() -> int:
        return third()

    @with_slot
    def first() -> int:
        return second()

    assert MOST_WAITING == 2
    assert (first(), second(), third()) == (0, 1, 1)


def test_a_sweep_that_breaks_gives_its_turn_back() -> None:
    @with_slot
    def break_down() -> int:
        raise ZeroDivisionError

    for _ in range(MOST_WAITING + 1):
        with pytest.raises(ZeroDivisionError):
            break_down()


def test_events_wait_while_stripe_does_not_answer(paid: Order, settings: Settings) -> None:
    for _ in range(3):
        receive("checkout.session.completed", paid.stripe_session_id or "")
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    assert process_due_events() == 1

    assert StripeEvent.objects.filter(attempts=0).count() == 2


def test_refunds_wait_while_stripe_does_not_answer(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till, settings: Settings
) -> None:
    second = start_checkout(own_seat(till.user), pack_slug="starter")
    sandbox.pay(second.stripe_session_id)
    for order in (fulfilled, fulfil_checkout(second.stripe_session_id or "")):
        refund_amount(order, amount_cents=300, actor=bob, reason="Unhappy")
    till.drain()
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    assert advance_refunds() == 1

    assert Refund.objects.filter(attempts=0).count() == 1


def test_an_order_that_stripe_answers_with_an_error_does_not_keep_the_others_waiting(
    paid: Order, bob: User, pack: Pack
) -> None:
    # Its session was made, the answer lost, and then the customer changed the address: Stripe
    # refuses other parameters under the same key.
    other = start_checkout(own_seat(bob), pack_slug=pack.slug)
    Order.objects.filter(pk=other.pk).update(stripe_session_id=None, stripe_session_url="")
    User.objects.filter(pk=bob.pk).update(email="robert@example.com")
    now = timezone.now()
    Order.objects.filter(pk=other.pk).update(next_check_at=now - timedelta(minutes=1))
    Order.objects.filter(pk=paid.pk).update(next_check_at=now)

    assert check_open_orders() == 2

    assert status_of(other) == Order.Status.OPEN
    assert status_of(paid) == Order.Status.FULFILLED
