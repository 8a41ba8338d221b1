"""Orders at the desk: asking Stripe again."""

import socket
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import AuditLine
from billing.models import Dispute, LedgerEntry, Order, Refund
from tests import desk

WHY = {"reason": "She says she paid"}


@pytest.fixture
def nobody_answers(settings: Settings) -> None:
    """Let Stripe's address be one where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_stripes_silence_is_told_and_changes_nothing(
    root: Client, alice: desk.Buyer, nobody_answers: None
) -> None:
    before = Order.objects.values().get(pk=alice.order.pk)

    answer = root.post(desk.do_url("ask-stripe", alice.order), WHY, follow=True)

    assert [message.level_tag for message in answer.context["messages"]] == ["error"]
    assert Order.objects.values().get(pk=alice.order.pk) == before
    assert not AuditLine.objects.exists()


def test_an_order_without_a_session_is_not_asked_about(root: Client, alice: desk.Buyer) -> None:
    Order.objects.filter(pk=alice.order.pk).update(stripe_session_id=None)

    answer = root.post(desk.do_url("ask-stripe", alice.order), WHY, follow=True)

    assert b"Stripe was never asked for a session." in answer.content
    assert b"do/ask-stripe/" not in answer.content


@pytest.fixture
def paid(alice: desk.Buyer) -> Order:
    """Alice's order over 1,000 credits for $9.00, with its payment at Stripe."""
    Order.objects.filter(pk=alice.order.pk).update(
        stripe_payment_intent_id="pi_1", stripe_charge_id="ch_1", paid_cents=900
    )
    return Order.objects.get(pk=alice.order.pk)


def refund(root: Client, order: Order, amount: str, **more: str) -> str:
    given = {"amount": amount, "kind": "requested_by_customer", "reason": "Unhappy", **more}
    answer = root.post(desk.do_url("refund", order), {"once": str(uuid4()), **given}, follow=True)
    return answer.content.decode()


def test_a_refund_is_asked_for_with_a_reason_and_recorded(root: Client, paid: Order) -> None:
    page = refund(root, paid, "4.50")

    made = Refund.objects.get()
    assert (made.amount_cents, made.reason) == (450, "Unhappy")
    assert made.actor is not None
    assert made.debit is not None
    assert made.debit.amount_credits == 500
    assert "$4.50 will be refunded" in page
    assert "Reason: Unhappy" in desk.said()


def test_a_second_press_of_the_button_refunds_nothing_more(root: Client, paid: Order) -> None:
    once = str(uuid4())

    for _ in range(2):
        refund(root, paid, "4.50", once=once)

    assert Refund.objects.count() == 1


@pytest.mark.parametrize("amount", ["0", "9.01", "-1", "0.001", "much", ""])
def test_an_amount_that_makes_no_sense_is_refused(root: Client, paid: Order, amount: str) -> None:
    refund(root, paid, amount)

    assert not Refund.objects.exists()
    assert not AuditLine.objects.exists()


def test_before_a_refund_staff_see_what_would_be_owed(root: Client, paid: Order) -> None:
    page = root.get(desk.do_url("refund", paid)).text

    assert "the customer would owe" in page


def test_a_refund_needs_a_reason(root: Client, paid: Order) -> None:
    refund(root, paid, "4.50", reason="")

    assert not Refund.objects.exists()


@pytest.mark.parametrize("action", ["refund", "refund-unused", "credit", "close"])
def test_who_may_only_look_may_not_act(action: str, paid: Order) -> None:
    clerk = desk.make_staff("clerk@example.com", "billing.view_order")

    assert clerk.get(desk.do_url(action, paid)).status_code == 403


def test_an_order_in_review_is_credited_from_its_page(root: Client, alice: desk.Buyer) -> None:
    order = desk.make_order(
        alice.user, status="review", fulfilled_at=None, stripe_session_id="cs_test_review"
    )

    page = root.get(desk.page_url(order)).content.decode()
    root.post(desk.do_url("credit", order), {"reason": "Our mistake"})

    order.refresh_from_db()
    assert "do/credit/" in page
    assert "do/close/" in page
    assert order.status == Order.Status.FULFILLED
    assert LedgerEntry.objects.get(reference=str(order.public_id)).amount_credits == 1_000


def test_an_order_in_review_is_closed_from_its_page(root: Client, alice: desk.Buyer) -> None:
    order = desk.make_order(
        alice.user, status="review", fulfilled_at=None, stripe_session_id="cs_test_review"
    )

    root.post(desk.do_url("close", order), {"reason": "Fraud"})

    order.refresh_from_db()
    assert order.status == Order.Status.CLOSED
    assert not LedgerEntry.objects.filter(reference=str(order.public_id)).exists()


def test_refunds_and_disputes_have_pages(root: Client, paid: Order) -> None:
    refund(root, paid, "4.50")
    made = Refund.objects.get()
    dispute = Dispute.objects.create(
        order=paid,
        stripe_dispute_id="dp_1",
        amount_cents=900,
        reason="fraudulent",
        status="needs_response",
        respond_until=desk.NOON,
    )

    for obj in (made, dispute):
        assert root.get(desk.list_url(type(obj))).status_code == 200
        page = root.get(desk.page_url(obj)).content.decode()
        assert "alice@example.com" in page or str(paid.public_id) in page
