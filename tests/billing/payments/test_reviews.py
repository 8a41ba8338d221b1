"""A person takes an order out of review."""

import pytest

from accounts.models import User
from billing.exceptions import MissingReason, PurchaseMismatch
from billing.models import InboxItem, Purchase
from billing.services.fulfilment import fulfil_purchase
from billing.services.refunds import refund_amount
from billing.services.reviews import close_reviewed, credit_reviewed
from tests.billing.payments.conftest import hear, posted, status_of
from tests.billing.payments.sandbox import Sandbox
from tests.billing.wallet.shop import Till

Status = Purchase.Status


@pytest.fixture
def parked(paid: Purchase, sandbox: Sandbox) -> Purchase:
    """Paid for $8.00 instead of $9.00."""
    for name in ("amount_total", "amount_subtotal"):
        sandbox.tamper(paid.stripe_session_id, **{name: 800})
    return fulfil_purchase(paid.stripe_session_id or "")


def test_it_is_credited_as_it_was_ordered_and_the_finding_closed(
    parked: Purchase, alice: User, bob: User
) -> None:
    assert parked.status == Status.REVIEW

    credit_reviewed(parked, actor=bob, reason="Our mistake")

    assert (status_of(parked), posted(alice)) == (Status.FULFILLED, 1_000_000)
    item = InboxItem.objects.get()
    assert (item.resolved_by, item.resolution) == (bob, "Credited: Our mistake")


def test_it_is_closed_and_stays_so_whatever_is_heard(
    parked: Purchase, alice: User, bob: User
) -> None:
    close_reviewed(parked, actor=bob, reason="Fraud")

    fulfil_purchase(parked.stripe_session_id or "")

    assert (status_of(parked), posted(alice)) == (Status.CLOSED, 0)


def test_it_is_decided_once(parked: Purchase, alice: User, bob: User) -> None:
    credit_reviewed(parked, actor=bob, reason="Our mistake")

    with pytest.raises(PurchaseMismatch):
        close_reviewed(parked, actor=bob, reason="Fraud")
    with pytest.raises(PurchaseMismatch):
        credit_reviewed(parked, actor=bob, reason="Again")

    assert (status_of(parked), posted(alice)) == (Status.FULFILLED, 1_000_000)


def test_it_is_not_decided_without_a_reason(parked: Purchase, bob: User) -> None:
    with pytest.raises(MissingReason):
        credit_reviewed(parked, actor=bob, reason=" ")

    assert status_of(parked) == Status.REVIEW


def test_what_was_refunded_before_it_is_credited_is_taken_back(
    parked: Purchase, bob: User, sandbox: Sandbox, till: Till
) -> None:
    sandbox.refund(parked.stripe_payment_intent_id, 400)
    hear("charge.refunded", parked.stripe_charge_id)

    credit_reviewed(parked, actor=bob, reason="Our mistake")
    till.drain()

    # $4.00 of the $8.00 that the session says were paid.
    assert till.posted() == 500_000


def test_a_closed_order_can_be_refunded(
    parked: Purchase, bob: User, till: Till, sandbox: Sandbox
) -> None:
    close_reviewed(parked, actor=bob, reason="Fraud")
    parked.refresh_from_db()

    refund = refund_amount(parked, amount_cents=800, actor=bob, reason="Fraud")

    assert refund.debit is None
