"""Invariant 7 against Stripe: what is missed is caught up on, what differs is found."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from billing.models import Dispute, InboxItem, Order, Refund, StripeEvent, Wallet
from billing.stripe_inbox.comparison import audit_stripe, reconcile
from billing.stripe_inbox.events import process_due_events
from billing.stripe_inbox.missed_events import fetch_missed_events
from devstack.ports import free_port
from tests.billing.payments.conftest import hear, posted, status_of
from tests.stripe_sandbox import Sandbox

AT_ONCE = timedelta(0)


def problems() -> list[str]:
    return [finding.problem for finding in audit_stripe(grace=AT_ONCE)]


def test_what_agrees_is_clean(fulfilled: Order, sandbox: Sandbox) -> None:
    sandbox.refund(fulfilled.stripe_payment_intent_id, 300)
    hear("charge.refunded", fulfilled.stripe_charge_id)

    assert problems() == []


def test_a_payment_that_we_never_heard_of_is_found(paid: Order) -> None:
    [problem] = problems()

    assert "but is open" in problem


def test_what_is_just_under_way_is_no_finding(paid: Order) -> None:
    assert audit_stripe() == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("paid_cents", 901, "Stripe says 900 usd paid, we say 901 usd"),
        ("refunded_cents", 1, "Stripe says 0 refunded, we say 1"),
        ("disputed_cents", 1, "Stripe says 0 disputed, we say 1"),
        ("stripe_payment_intent_id", "pi_other", "was paid again"),
        ("currency", "eur", "Stripe says 900 usd paid, we say 900 eur"),
        ("public_id", "5e0cfb1e-8f6d-4f2e-9d43-3b9f1a8a1111", "which does not exist"),
    ],
)
def test_a_figure_altered_by_hand_is_found(
    fulfilled: Order, column: str, value: str | int, said: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE billing_order SET {column} = %s", [value])  # noqa: S608

    assert any(said in problem for problem in problems())


def test_what_was_paid_just_now_for_an_older_order_is_no_finding(paid: Order) -> None:
    Order.objects.update(created_at=timezone.now() - timedelta(hours=1))

    assert audit_stripe() == []


def test_what_was_refunded_just_now_is_no_finding(fulfilled: Order, sandbox: Sandbox) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Order.objects.update(created_at=an_hour_ago)
    sandbox.tamper(fulfilled.stripe_charge_id, created=int(an_hour_ago.timestamp()))
    sandbox.refund(fulfilled.stripe_payment_intent_id, 300)

    assert audit_stripe() == []
    assert problems() != []


def test_a_second_payment_that_was_given_back_is_clean(fulfilled: Order, sandbox: Sandbox) -> None:
    order_id = str(fulfilled.public_id)
    intent_id = pay_beside_checkout(sandbox, order_id)
    assert [problem[:14] for problem in problems()] == ["was paid again"]

    sandbox.refund(intent_id, 900)

    assert problems() == []


def test_a_payment_without_an_order_that_was_given_back_is_clean(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    intent_id = pay_beside_checkout(sandbox, "5e0cfb1e-8f6d-4f2e-9d43-3b9f1a8a1111")
    assert ["does not exist" in problem for problem in problems()] == [True]

    sandbox.refund(intent_id, 900)

    assert problems() == []


def test_an_inquiry_that_we_never_heard_of_is_found(fulfilled: Order, sandbox: Sandbox) -> None:
    dispute_id = sandbox.dispute(fulfilled.stripe_charge_id, inquiry=True)

    assert problems() == [f"the dispute {dispute_id} is warning_needs_response, we say nothing"]


def test_a_dispute_that_was_lost_and_we_did_not_hear_of_it_is_found(
    fulfilled: Order, sandbox: Sandbox
) -> None:
    dispute_id = sandbox.dispute(fulfilled.stripe_charge_id)
    hear("charge.dispute.created", dispute_id, charge=fulfilled.stripe_charge_id)
    sandbox.control(f"disputes/{dispute_id}/lose")

    assert problems() == [f"the dispute {dispute_id} is lost, we say needs_response"]


def test_a_dispute_that_stripe_does_not_know_is_found(fulfilled: Order) -> None:
    Dispute.objects.create(
        order=fulfilled, stripe_dispute_id="dp_1", amount_cents=900, status="won"
    )

    assert problems() == ["the dispute dp_1 is not at Stripe, we say won"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("pending", "the refund {} is succeeded, we say pending"),
        ("refused", "the refund {} is succeeded, we say refused"),
        ("succeeded", ""),
    ],
)
def test_a_refund_of_ours_that_stands_otherwise_is_found(
    fulfilled: Order, sandbox: Sandbox, status: str, said: str
) -> None:
    ours = Refund.objects.create(order=fulfilled, amount_cents=300, status=status)
    sandbox.client.v1.refunds.create(
        {
            "payment_intent": fulfilled.stripe_payment_intent_id,
            "amount": 300,
            "metadata": {"refund_id": str(ours.public_id)},
        }
    )
    Order.objects.update(refunded_cents=300, clawed_back_credits=333_333)

    assert problems() == ([said.format(ours.public_id)] if said else [])


@pytest.mark.parametrize("status", ["pending", "succeeded", "failed"])
def test_a_refund_that_stripe_never_gave_is_found(fulfilled: Order, status: str) -> None:
    ours = Refund.objects.create(order=fulfilled, amount_cents=300, status=status)

    assert problems() == [f"the refund {ours.public_id} is not at Stripe, we say {status}"]


def pay_beside_checkout(sandbox: Sandbox, order_id: str) -> str:
    """Pay $9.00 that name an order, without its session; return the PaymentIntent."""
    return sandbox.client.v1.payment_intents.create(
        {
            "amount": 900,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"order_id": order_id},
        }
    ).id


def test_credits_without_a_payment_are_found(fulfilled: Order, sandbox: Sandbox) -> None:
    sandbox.tamper(fulfilled.stripe_charge_id, metadata={})

    assert problems() == ["was credited, but Stripe has no such charge"]


def test_a_refund_of_an_old_charge_is_found(fulfilled: Order, sandbox: Sandbox) -> None:
    sandbox.tamper(fulfilled.stripe_charge_id, created=1)
    sandbox.refund(fulfilled.stripe_payment_intent_id, 300)
    since = timezone.now() - timedelta(hours=1)

    found = audit_stripe(since=since, grace=AT_ONCE)

    assert "Stripe says 300 refunded, we say 0" in [finding.problem for finding in found]


def test_the_daily_run_catches_up_on_what_was_missed(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    sandbox.refund(str(sandbox.session(paid.stripe_session_id).payment_intent), 450)

    assert reconcile() == []

    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents) == (Order.Status.FULFILLED, 450)
    assert paid.taken_back_credits == 500_000
    assert posted(alice) == 1_000_000


def test_the_daily_run_catches_up_on_a_dispute(fulfilled: Order, sandbox: Sandbox) -> None:
    sandbox.dispute(fulfilled.stripe_charge_id)

    assert reconcile() == []

    assert Wallet.objects.get().state == Wallet.State.FROZEN


def test_what_still_differs_is_filed_once(fulfilled: Order, sandbox: Sandbox) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    sandbox.tamper(fulfilled.stripe_charge_id, created=int(an_hour_ago.timestamp()))
    Order.objects.update(paid_cents=901, created_at=an_hour_ago, revision=5)

    assert len(reconcile()) == len(reconcile()) == 1

    assert InboxItem.objects.get().kind == "stripe_difference"


def test_events_that_no_webhook_brought_are_fetched_and_processed(
    paid: Order, alice: User, sandbox: Sandbox
) -> None:
    StripeEvent.objects.all().delete()

    assert fetch_missed_events() > 0
    assert fetch_missed_events() == 0
    # The emulator outlives a test: there may be more than one batch.
    while process_due_events():
        pass

    assert status_of(paid) == Order.Status.FULFILLED
    assert posted(alice) == 1_000_000


def test_the_command_asks_stripe_and_exits_with_what_it_found(
    fulfilled: Order, sandbox: Sandbox, redis_wallets: object
) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    # The books add up: only Stripe knows better.
    sandbox.tamper(fulfilled.stripe_charge_id, amount=901, created=int(an_hour_ago.timestamp()))
    Order.objects.update(created_at=an_hour_ago)
    call_command("audit_money", stdout=StringIO())
    errors = StringIO()

    with pytest.raises(SystemExit):
        call_command("audit_money", "--stripe", stderr=errors)

    assert str(fulfilled.public_id) in errors.getvalue()
    assert "we say 900" in errors.getvalue()


def test_the_command_does_not_pass_what_it_could_not_ask(
    fulfilled: Order, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(CommandError, match="Not checked"):
        call_command("audit_money", "--stripe")
