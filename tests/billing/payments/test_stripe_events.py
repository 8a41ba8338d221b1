from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from billing.models import InboxItem, Order, StripeEvent
from billing.stripe_inbox.events import (
    ALARMING_ATTEMPTS,
    process_again,
    process_due_events,
    receive_event,
)
from devstack.ports import free_port
from tests.billing.payments.conftest import posted, status_of
from tests.deaths import dies_at_statement
from tests.racing import race
from tests.stripe_sandbox import Sandbox, event_body, sign


def receive(kind: str, object_id: str | None, **subject: Any) -> StripeEvent:
    body = event_body(kind, id=object_id, **subject)
    return receive_event(body, sign(body))


def test_a_kind_that_needs_nothing_is_stored_and_processed() -> None:
    event = receive("product.updated", "prod_1")

    assert process_due_events() == 1

    event.refresh_from_db()
    assert event.processed_at is not None


def test_an_event_is_processed_once(paid: Order) -> None:
    receive("checkout.session.completed", paid.stripe_session_id)

    assert process_due_events() == 1
    assert process_due_events() == 0


def test_the_sessions_present_state_counts_and_not_the_events_kind(
    paid: Order, alice: User
) -> None:
    receive("checkout.session.expired", paid.stripe_session_id)
    receive("checkout.session.async_payment_failed", paid.stripe_session_id)

    process_due_events()

    assert status_of(paid) == Order.Status.FULFILLED
    assert posted(alice) == 1_000_000


def test_the_events_body_is_not_believed(order: Order, alice: User) -> None:
    receive(
        "checkout.session.completed",
        order.stripe_session_id,
        payment_status="paid",
        status="complete",
        amount_total=900,
    )

    process_due_events()

    assert status_of(order) == Order.Status.OPEN
    assert posted(alice) == 0


def test_an_expiry_closes_the_order(order: Order, sandbox: Sandbox) -> None:
    sandbox.expire(order.stripe_session_id)
    receive("checkout.session.expired", order.stripe_session_id)

    process_due_events()

    assert status_of(order) == Order.Status.EXPIRED


def test_a_session_of_another_shop_is_done_with(paid: Order, sandbox: Sandbox) -> None:
    Order.objects.all().delete()
    sandbox.tamper(paid.stripe_session_id, client_reference_id=None, metadata={})
    event = receive("checkout.session.completed", paid.stripe_session_id)

    process_due_events()

    event.refresh_from_db()
    assert event.processed_at is not None


def test_a_failure_is_kept_and_tried_again_later(
    paid: Order, sandbox: Sandbox, settings: Settings
) -> None:
    event = receive("checkout.session.completed", paid.stripe_session_id)
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    process_due_events()

    event.refresh_from_db()
    assert event.processed_at is None
    assert event.error.startswith("PaymentProviderAway")
    assert event.next_attempt_at > timezone.now()
    settings.STRIPE_API_BASE = sandbox.url
    make_due()
    process_due_events()
    event.refresh_from_db()
    assert (event.attempts, event.error) == (2, "")
    assert status_of(paid) == Order.Status.FULFILLED


def test_each_failure_doubles_the_wait_up_to_an_hour() -> None:
    event = receive("checkout.session.completed", "cs_test_unknown")
    waits = []
    for _ in range(12):
        make_due()
        before = timezone.now()
        process_due_events()
        event.refresh_from_db()
        waits.append((event.next_attempt_at - before).total_seconds())

    pauses = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    for wait, pause in zip(waits, pauses, strict=True):
        # A tenth is added by chance; the rest is a slow machine's.
        assert pause <= wait < 1.1 * pause + 4


def test_a_person_is_told_once_of_an_event_that_keeps_failing() -> None:
    event = receive("checkout.session.completed", "cs_test_unknown")
    StripeEvent.objects.update(attempts=ALARMING_ATTEMPTS - 2)

    process_due_events()
    assert not InboxItem.objects.exists()
    for _ in range(2):
        make_due()
        process_due_events()

    assert InboxItem.objects.get().reference == event.event_id
    event.refresh_from_db()
    assert event.processed_at is None


def test_one_that_fails_does_not_hold_up_the_others(paid: Order) -> None:
    receive("checkout.session.completed", "cs_test_unknown")
    receive("checkout.session.completed", paid.stripe_session_id)

    assert process_due_events() == 2

    assert status_of(paid) == Order.Status.FULFILLED


def test_sweeps_at_once_share_the_events(paid: Order, alice: User) -> None:
    for _ in range(12):
        receive("checkout.session.completed", paid.stripe_session_id)

    counts = race([process_due_events] * 4, meet_at='UPDATE "billing_stripeevent"')

    assert sum(counts) == 12
    assert set(StripeEvent.objects.values_list("attempts", flat=True)) == {1}
    assert posted(alice) == 1_000_000


def test_dying_at_any_statement_loses_no_event(paid: Order, alice: User) -> None:
    event = receive("checkout.session.completed", paid.stripe_session_id)
    deaths = 0
    while dies_at_statement(process_due_events, deaths + 1):
        deaths += 1
        event.refresh_from_db()
        assert event.processed_at is None
        make_due()

    event.refresh_from_db()
    assert deaths > 10
    assert event.processed_at is not None
    assert posted(alice) == 1_000_000


def test_an_event_whose_process_died_comes_back_by_itself(paid: Order) -> None:
    event = receive("checkout.session.completed", paid.stripe_session_id)
    assert dies_at_statement(process_due_events, 5)

    assert process_due_events() == 0
    event.refresh_from_db()

    assert event.processed_at is None
    assert event.next_attempt_at < timezone.now() + timedelta(minutes=3)


def test_a_person_can_have_an_event_processed_again(paid: Order) -> None:
    event = receive("checkout.session.completed", paid.stripe_session_id)
    process_due_events()
    StripeEvent.objects.update(attempts=9, error="Once upon a time")

    process_again(event)

    assert process_due_events() == 1
    event.refresh_from_db()
    assert (event.attempts, event.error) == (1, "")


def make_due() -> None:
    StripeEvent.objects.filter(processed_at=None).update(next_attempt_at=timezone.now())


@pytest.mark.parametrize("kind", ["checkout.session.completed", "charge.refunded"])
def test_an_object_that_stripe_does_not_know_is_an_error(kind: str) -> None:
    event = receive(kind, "cs_test_unknown")

    process_due_events()

    event.refresh_from_db()
    assert event.error.startswith("PaymentObjectMissing")
