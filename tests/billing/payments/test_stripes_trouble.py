"""Stripe answers 500, whether it did what it was asked for or not, and says so again and again.

A key that was answered with 500 gets the same answer for a day.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_seat
from billing.exceptions import PaymentProviderError
from billing.models import Order, Pack, Refund
from billing.orders.checkout import start_checkout
from billing.orders.refunds import advance_refunds, refund_amount
from billing.stripe_inbox.events import process_due_events
from billing.stripe_inbox.missed_events import fetch_missed_events
from tests.stripe_sandbox import Sandbox
from tests.till import Till


@pytest.fixture(autouse=True)
def recovery(sandbox: Sandbox) -> Iterator[None]:
    """Whatever a test did, the next one finds Stripe well."""
    yield
    sandbox.control("failures", times=0)


def refunded(order: Order, sandbox: Sandbox) -> list[int]:
    found = sandbox.client.v1.refunds.list({"charge": order.stripe_charge_id})
    return [refund.amount for refund in found.data]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_customer_buys_a_minute_after_stripe_failed(
    alice: User, pack: Pack, sandbox: Sandbox, when: str
) -> None:
    sandbox.control("failures", when=when, path="/v1/checkout/sessions")
    for _ in range(2):
        with pytest.raises(PaymentProviderError):
            start_checkout(own_seat(alice), pack_slug="starter")
    assert Order.objects.count() == 1

    Order.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    order = start_checkout(own_seat(alice), pack_slug="starter")

    assert sandbox.pay(order.stripe_session_id) == 200


def test_a_refund_that_stripe_made_and_did_not_own_up_to_is_found(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    refund = refund_amount(fulfilled, amount_cents=300, actor=bob, reason="Unhappy")
    till.drain()
    sandbox.control("failures", when="after", path="/v1/refunds")
    advance_refunds()
    refund.refresh_from_db()
    assert (refund.status, refund.attempts) == (Refund.Status.OPEN, 1)

    Refund.objects.update(next_attempt_at=timezone.now())
    advance_refunds()

    refund.refresh_from_db()
    assert refund.status == Refund.Status.SUCCEEDED
    assert refunded(fulfilled, sandbox) == [300]
    assert till.posted() == 666_667


def test_who_asks_too_fast_is_refunded_a_moment_later(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    refund = refund_amount(fulfilled, amount_cents=300, actor=bob, reason="Unhappy")
    till.drain()
    sandbox.control("failures", status=429, method="post", path="/v1/refunds")
    advance_refunds()
    Refund.objects.update(next_attempt_at=timezone.now())
    advance_refunds()

    refund.refresh_from_db()
    assert refund.status == Refund.Status.SUCCEEDED
    assert refunded(fulfilled, sandbox) == [300]


def test_what_was_paid_while_stripe_failed_is_fetched_later(
    paid: Order, sandbox: Sandbox, till: Till
) -> None:
    sandbox.control("failures", times=3, method="get", path="/v1/events")
    with pytest.raises(PaymentProviderError):
        fetch_missed_events()

    fetch_missed_events()
    while process_due_events():
        pass

    assert till.posted() == 1_000_000
