import json
import signal
import time
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django import Settings

from billing.models import InboxItem, Order, StripeEvent
from billing.stripe_inbox.events import process_due_events
from billing.tasks.stripe import process_stripe_events
from billing.views.stripe_webhook import MAX_BODY_BYTES
from devstack.valkey import Valkey
from tests.billing.payments.conftest import status_of
from tests.stripe_sandbox import WEBHOOK_SECRET, event_body, sign

URL = "/billing/stripe/webhook"
BODY = event_body("checkout.session.completed", id="cs_test_1")


@pytest.fixture
def stripe() -> Client:
    """Stripe sends no CSRF token."""
    return Client(enforce_csrf_checks=True)


def post(
    client: Client, body: bytes, signature: str | None = None
) -> tuple[int, dict[str, object]]:
    """Post a body, signed right now unless told otherwise. Returns status and answer."""
    signed = sign(body) if signature is None else signature
    headers = {"Stripe-Signature": signed} if signed else {}
    answer = client.post(URL, data=body, content_type="application/json", headers=headers)
    return answer.status_code, answer.json()


def test_it_stores_an_event_and_answers(stripe: Client) -> None:
    status, answer = post(stripe, BODY)

    event = StripeEvent.objects.get()
    assert (status, answer) == (200, {"received": event.event_id})
    assert (event.kind, event.object_id) == ("checkout.session.completed", "cs_test_1")
    given = json.loads(BODY)
    kept = {"id", "type", "created", "livemode", "api_version"}
    assert event.payload == {
        **{name: given[name] for name in kept},
        "data": {"object": {"id": "cs_test_1"}},
    }
    assert event.processed_at is None


def test_it_keeps_of_an_event_only_what_handlers_read(stripe: Client) -> None:
    metadata = {"order_id": "1", "channel": "top_up", "name": "Alice"}
    charge = {"id": "ch_1", "billing_details": {"name": "Alice"}}
    post(
        stripe,
        event_body(
            "refund.created",
            id="re_1",
            object="refund",
            mode="payment",
            metadata=metadata,
            charge=charge,
            customer_details={"email": "alice@example.com", "address": {"line1": "Here"}},
        ),
    )

    assert StripeEvent.objects.get().payload["data"]["object"] == {
        "id": "re_1",
        "object": "refund",
        "mode": "payment",
        "metadata": {"order_id": "1", "channel": "top_up"},
        "charge": "ch_1",
    }


def test_it_wakes_a_worker(stripe: Client) -> None:
    with process_stripe_events.app.connection_for_read() as broker:
        queue = broker.SimpleQueue(process_stripe_events.app.conf.task_default_queue)
        queue.clear()

        post(stripe, BODY)

        message = queue.get(timeout=5)
        message.ack()
        queue.close()
    assert message.headers["task"] == "billing.process_stripe_events"


def test_it_stores_a_duplicate_once(stripe: Client) -> None:
    post(stripe, BODY)

    status, _ = post(stripe, BODY)

    assert status == 200
    assert StripeEvent.objects.count() == 1


def test_a_duplicate_of_a_processed_event_stays_processed(stripe: Client) -> None:
    body = event_body("price.created", id="price_1")
    post(stripe, body)
    process_due_events()

    post(stripe, body)

    assert StripeEvent.objects.get().processed_at is not None


def test_an_event_leads_to_credits(stripe: Client, paid: Order) -> None:
    post(stripe, event_body("checkout.session.completed", id=paid.stripe_session_id))

    process_stripe_events.apply()

    assert status_of(paid) == Order.Status.FULFILLED


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "t=,v1=",
        f"t={int(time.time())}",
        f"t={int(time.time())},v1={'0' * 64}",
        f"t={int(time.time())},v1=é",
        f"t={'9' * 5_000},v1={'0' * 64}",
        sign(BODY, secret="whsec_of_someone_else"),
        sign(BODY).replace("v1=", "v0="),
        sign(BODY + b" "),
        sign(BODY, age_s=330),
        sign(BODY, age_s=-3_600),
    ],
    ids=[
        "missing",
        "nonsense",
        "empty",
        "without a digest",
        "forged",
        "not ascii",
        "huge time",
        "another secret",
        "another scheme",
        "another body",
        "stale",
        "future",
    ],
)
def test_it_refuses_what_stripe_did_not_sign_just_now(stripe: Client, signature: str) -> None:
    status, answer = post(stripe, BODY, signature)

    assert status == 400
    assert answer["error"]
    assert not StripeEvent.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        BODY.replace(b'"event"', b'"charge"'),
        BODY.replace(b'"livemode": false', b'"livemode": true'),
        BODY.replace(b'"livemode": false', b'"livemode": 0'),
        BODY.replace(b'"id": "evt_', b'"id": "' + b"e" * 120),
        BODY.replace(b'"id": "evt_', b'"id": "\\u0000'),
        BODY.replace(b'"id": "cs_test_1"', b'"id": 1'),
        BODY.replace(b'{"object": {', b'{"objects": {'),
    ],
)
def test_it_refuses_what_is_signed_but_no_event_of_this_site(stripe: Client, body: bytes) -> None:
    status, answer = post(stripe, body)

    assert status == 400
    assert answer["error"]
    assert not StripeEvent.objects.exists()


def test_it_refuses_bytes_that_are_no_text(stripe: Client) -> None:
    status, _ = post(stripe, b"\xff\xfe", "t=1,v1=0")

    assert status == 400


def test_a_live_site_refuses_test_events(stripe: Client, settings: Settings) -> None:
    settings.STRIPE_LIVE_MODE = True

    status, _ = post(stripe, BODY)

    assert status == 400
    assert not StripeEvent.objects.exists()
    # Signed with our secret, so somebody has set it up wrongly. Once a day is enough.
    post(stripe, BODY)
    item = InboxItem.objects.get()
    assert item.kind == "stripe_event_of_other_mode"
    assert "test mode" in item.summary


def test_it_refuses_a_body_that_is_too_large(stripe: Client) -> None:
    body = event_body("price.created", id="price_1", nickname="x" * MAX_BODY_BYTES)

    status, answer = post(stripe, body)

    assert status == 413
    assert answer["error"]
    assert not StripeEvent.objects.exists()


def test_it_refuses_another_method(stripe: Client) -> None:
    answer = stripe.get(URL)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.json()["error"]


def test_it_takes_either_secret_while_one_replaces_the_other(
    stripe: Client, settings: Settings
) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_of_tomorrow", WEBHOOK_SECRET]
    other = event_body("price.created", id="price_1")

    by_old, _ = post(stripe, BODY)
    by_new, _ = post(stripe, other, sign(other, secret="whsec_of_tomorrow"))

    assert (by_old, by_new) == (200, 200)
    assert StripeEvent.objects.count() == 2


@pytest.fixture
def dead_broker(valkey_server: Valkey) -> Iterator[None]:
    valkey_server.kill()
    yield
    valkey_server.start()


@pytest.fixture
def hanging_broker(valkey_server: Valkey) -> Iterator[None]:
    valkey_server.process.signal(signal.SIGSTOP)
    yield
    valkey_server.process.signal(signal.SIGCONT)


@pytest.mark.usefixtures("dead_broker")
def test_it_needs_no_broker(stripe: Client) -> None:
    status, _ = post(stripe, BODY)

    assert status == 200
    assert StripeEvent.objects.count() == 1


@pytest.mark.usefixtures("hanging_broker")
def test_it_does_not_hang_with_the_broker(stripe: Client) -> None:
    started = time.monotonic()

    status, _ = post(stripe, BODY)

    assert status == 200
    # Stripe waits at least ten seconds for an answer.
    assert time.monotonic() - started < 10
    assert StripeEvent.objects.count() == 1
