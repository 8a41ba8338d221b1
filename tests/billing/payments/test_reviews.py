"""A person takes an order out of review."""

import pytest

from accounts.models import User
from billing.exceptions import MissingReason, OrderMismatch
from billing.models import InboxItem, Order
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.refunds import refund_amount
from billing.orders.reviews import close_reviewed, credit_reviewed
from tests.billing.payments.conftest import hear, posted, status_of
from tests.stripe_sandbox import Sandbox
from tests.till import Till

Status = Order.Status


@pytest.fixture
def parked(paid: Order, sandbox: Sandbox) -> Order:
    """Paid for $8.00 instead of $9.00."""
    for name in ("amount_total", "amount_subtotal"):
        sandbox.tamper(paid.stripe_session_id, **{name: 800})
    return fulfil_checkout(paid.stripe_session_id or "")


def test_it_is_credited_as_it_was_ordered_and_the_finding_closed(
    parked: Order, alice: User, bob: User
) -> None:
    assert parked.status == Status.REVIEW

    credit_reviewed(parked, actor=bob, reason="Our mistake")

    assert (status_of(parked), posted(alice)) == (Status.FULFILLED, 1_000_000)
    item = InboxItem.objects.get()
    assert (item.resolved_by, item.resolution) == (bob, "Credited: Our mistake")


def test_it_is_closed_and_stays_so_whatever_is_heard(parked: Order, alice: User, bob: User) -> None:
    close_reviewed(parked, actor=bob, reason="Fraud")

    fulfil_checkout(parked.stripe_session_id or "")

    assert (status_of(parked), posted(alice)) == (Status.CLOSED, 0)


def test_it_is_decided_once(parked: Order, alice: User, bob: User) -> None:
    credit_reviewed(parked, actor=bob, reason="Our mistake")

    with pytest.raises(OrderMismatch):
        close_reviewed(parked, actor=bob, reason="Fraud")
    with pytest.raises(OrderMismatch):
        credit_reviewed(parked, actor=bob, reason="Again")

    assert (status_of(parked), posted(alice)) == (Status.FULFILLED, 1_000_000)


def test_it_is_not_decided_without_a_reason(parked: Order, bob: User) -> None:
    with pytest.raises(MissingReason):
        credit_reviewed(parked, actor=bob, reason=" ")

    assert status_of(parked) == Status.REVIEW


def test_what_was_refunded_before_it_is_credited_is_taken_back(
    parked: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    sandbox.refund(parked.stripe_payment_intent_id, 400)
    hear("charge.refunded", parked.stripe_charge_id)

    credit_reviewed(parked, actor=bob, reason="Our mistake")
    till.drain()

    # $4.00 of the $8.00 that the session says were paid.
    assert till.posted() == 500_000


def test_a_closed_order_can_be_refunded(
    parked: Order, bob: User, till: Till, sandbox: Sandbox
) -> None:
    close_reviewed(parked, actor=bob, reason="Fraud")
    parked.refresh_from_db()

    refund = refund_amount(parked, amount_cents=800, actor=bob, reason="Fraud")

    assert refund.debit is None


def make_session(order: Order, sandbox: Sandbox) -> str:
    """Make a session that names the order and is not its own; return its id."""
    order_id = str(order.public_id)
    other = sandbox.client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "client_reference_id": order_id,
            "metadata": {"order_id": order_id},
            "payment_intent_data": {"metadata": {"order_id": order_id}},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 900,
                        "product_data": {"name": "Starter"},
                    },
                }
            ],
            "success_url": "http://testserver/",
        }
    )
    return other.id


def pay_again(order: Order, sandbox: Sandbox) -> str:
    """Pay the order through a session that is not its own, and return that session's id."""
    other = make_session(order, sandbox)
    assert sandbox.pay(other) == 200
    return other


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_second_payment_of_an_order_in_review_is_reported(
    parked: Order, bob: User, sandbox: Sandbox, is_closed: bool
) -> None:
    if is_closed:
        close_reviewed(parked, actor=bob, reason="Fraud")
    other = pay_again(parked, sandbox)

    fulfil_checkout(other)

    item = InboxItem.objects.get(kind="order_paid_twice")
    assert item.reference == other
    assert item.detail["paid_cents"] == 900


def test_the_orders_own_payment_after_one_that_only_named_it_is_reported(
    order: Order, sandbox: Sandbox
) -> None:
    fulfil_checkout(pay_again(order, sandbox))
    assert status_of(order) == Status.REVIEW
    sandbox.pay(order.stripe_session_id)

    fulfil_checkout(order.stripe_session_id or "")

    assert status_of(order) == Status.REVIEW
    item = InboxItem.objects.get(kind="order_paid_twice")
    assert item.reference == order.stripe_session_id


def test_asking_again_notes_what_was_refunded_of_an_order_in_review(
    parked: Order, sandbox: Sandbox
) -> None:
    sandbox.refund(parked.stripe_payment_intent_id, 400)

    fulfil_checkout(parked.stripe_session_id or "")

    parked.refresh_from_db()
    assert (parked.status, parked.refunded_cents) == (Status.REVIEW, 400)
    assert not InboxItem.objects.filter(kind="order_paid_twice").exists()


def test_the_end_of_a_session_that_only_names_an_order_leaves_it_open(
    order: Order, sandbox: Sandbox
) -> None:
    other = make_session(order, sandbox)
    sandbox.expire(other)

    fulfil_checkout(other)

    assert status_of(order) == Status.OPEN
