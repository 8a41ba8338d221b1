"""Invariant 7 against Stripe: what is missed is caught up on, what differs is found."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from billing.models import InboxItem, Purchase, StripeEvent, Wallet
from billing.services.missed_events import fetch_missed_events
from billing.services.stripe_audit import audit_stripe, reconcile
from billing.services.stripe_events import process_due_events
from devstack.ports import free_port
from tests.billing.payments.conftest import hear, posted, status_of
from tests.billing.payments.sandbox import Sandbox

AT_ONCE = timedelta(0)


@pytest.fixture(autouse=True)
def only_this_test(sandbox: Sandbox) -> Iterator[None]:
    """The emulator outlives a test; the charges of earlier ones are another shop's."""
    charges = sandbox.client.v1.charges.list({"limit": 100}).auto_paging_iter()
    for charge_id in [charge.id for charge in charges]:
        sandbox.tamper(charge_id, metadata={})
    return iter(())


def problems() -> list[str]:
    return [finding.problem for finding in audit_stripe(grace=AT_ONCE)]


def test_what_agrees_is_clean(fulfilled: Purchase, sandbox: Sandbox) -> None:
    sandbox.refund(fulfilled.stripe_payment_intent_id, 300)
    hear("charge.refunded", fulfilled.stripe_charge_id)

    assert problems() == []


def test_a_payment_that_we_never_heard_of_is_found(paid: Purchase) -> None:
    [problem] = problems()

    assert "but is open" in problem


def test_what_is_just_under_way_is_no_finding(paid: Purchase) -> None:
    assert audit_stripe() == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("paid_cents", 901, "Stripe says 900 paid, we say 901"),
        ("refunded_cents", 1, "Stripe says 0 refunded, we say 1"),
        ("disputed_cents", 1, "Stripe says 0 disputed, we say 1"),
        ("stripe_payment_intent_id", "pi_other", "was paid again"),
        ("public_id", "5e0cfb1e-8f6d-4f2e-9d43-3b9f1a8a1111", "which does not exist"),
    ],
)
def test_a_figure_altered_by_hand_is_found(
    fulfilled: Purchase, column: str, value: str | int, said: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE billing_purchase SET {column} = %s", [value])  # noqa: S608

    assert any(said in problem for problem in problems())


def test_credits_without_a_payment_are_found(fulfilled: Purchase, sandbox: Sandbox) -> None:
    sandbox.tamper(fulfilled.stripe_charge_id, metadata={})

    assert problems() == ["was credited, but Stripe has no such charge"]


def test_a_refund_of_an_old_charge_is_found(fulfilled: Purchase, sandbox: Sandbox) -> None:
    sandbox.tamper(fulfilled.stripe_charge_id, created=1)
    sandbox.refund(fulfilled.stripe_payment_intent_id, 300)
    since = timezone.now() - timedelta(hours=1)

    found = audit_stripe(since=since, grace=AT_ONCE)

    assert "Stripe says 300 refunded, we say 0" in [finding.problem for finding in found]


def test_the_daily_run_catches_up_on_what_was_missed(
    paid: Purchase, alice: User, sandbox: Sandbox
) -> None:
    sandbox.refund(str(sandbox.session(paid.stripe_session_id).payment_intent), 450)

    assert reconcile() == []

    paid.refresh_from_db()
    assert (paid.status, paid.refunded_cents) == (Purchase.Status.FULFILLED, 450)
    assert paid.taken_back_credits == 500_000
    assert posted(alice) == 1_000_000


def test_the_daily_run_catches_up_on_a_dispute(fulfilled: Purchase, sandbox: Sandbox) -> None:
    sandbox.dispute(fulfilled.stripe_charge_id)

    assert reconcile() == []

    assert Wallet.objects.get().state == Wallet.State.FROZEN


def test_what_still_differs_is_filed_once(fulfilled: Purchase, sandbox: Sandbox) -> None:
    Purchase.objects.update(
        paid_cents=901, created_at=timezone.now() - timedelta(hours=1), revision=5
    )

    assert len(reconcile()) == len(reconcile()) == 1

    assert InboxItem.objects.get().kind == "stripe_difference"


def test_events_that_no_webhook_brought_are_fetched_and_processed(
    paid: Purchase, alice: User, sandbox: Sandbox
) -> None:
    StripeEvent.objects.all().delete()

    assert fetch_missed_events() > 0
    assert fetch_missed_events() == 0
    process_due_events()

    assert status_of(paid) == Purchase.Status.FULFILLED
    assert posted(alice) == 1_000_000


def test_the_command_asks_stripe_and_exits_with_what_it_found(
    fulfilled: Purchase, redis_wallets: object
) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    # The books add up: only Stripe knows better.
    Purchase.objects.update(amount_cents=901, paid_cents=901, created_at=an_hour_ago)
    call_command("audit_money", stdout=StringIO())
    errors = StringIO()

    with pytest.raises(SystemExit):
        call_command("audit_money", "--stripe", stderr=errors)

    assert str(fulfilled.public_id) in errors.getvalue()
    assert "we say 901" in errors.getvalue()


def test_the_command_does_not_pass_what_it_could_not_ask(
    fulfilled: Purchase, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(CommandError, match="Not checked"):
        call_command("audit_money", "--stripe")
