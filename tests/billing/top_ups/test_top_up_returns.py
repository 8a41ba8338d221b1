"""A top-up's payment is refunded, disputed, reconciled and heard of like any other."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_team
from billing.ledger.debits import decide_open
from billing.ledger.expiry import expire_lots
from billing.ledger.freezes import open_freezes
from billing.ledger.wallets import unfreeze_wallet, wallet_of
from billing.models import AutoTopUp, Dispute, Lot, Notice, Order, Refund, Wallet
from billing.orders.clawback import book_charge
from billing.orders.refunds import advance_refunds, refund_amount
from billing.orders.top_up_orders import top_up_due
from billing.stripe_inbox.comparison import audit_stripe, reconcile
from billing.stripe_inbox.open_orders import ask_again
from billing.top_ups.agreement import get_top_up
from billing.top_ups.switch import OffReason
from tests.billing.payments.conftest import hear
from tests.billing.top_ups.conftest import credited, intents, succeeded
from tests.racing import before_statement, in_background
from tests.stripe_sandbox import Sandbox
from tests.till import Till


@pytest.fixture
def paid(alice: User, top_up: AutoTopUp) -> Order:
    top_up_due()
    return Order.objects.get()


def test_a_refund_at_stripe_takes_its_share_back(paid: Order, sandbox: Sandbox) -> None:
    sandbox.refund(paid.stripe_payment_intent_id, 450)

    settled = hear("charge.refunded", paid.stripe_charge_id)

    paid.refresh_from_db()
    assert settled.error == ""
    assert (paid.refunded_cents, paid.clawed_back_credits) == (450, 500_000)


def test_staff_refund_it_through_stripe(
    paid: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    refund = refund_amount(paid, amount_cents=900, actor=bob, reason="Unhappy", key=uuid4())
    decide_open()
    till.drain()

    advance_refunds()

    refund.refresh_from_db()
    paid.refresh_from_db()
    assert refund.status == Refund.Status.SUCCEEDED
    assert (paid.refunded_cents, till.posted()) == (900, 0)


@pytest.mark.parametrize("cents", [450, 900])
def test_who_gets_money_back_is_not_charged_for_the_balance_that_fell(
    cents: int, alice: User, paid: Order, sandbox: Sandbox, till: Till
) -> None:
    till.place("r1", 500_000)
    till.settle("r1", 500_000)
    till.drain()
    sandbox.refund(paid.stripe_payment_intent_id, cents)

    hear("charge.refunded", paid.stripe_charge_id)
    decide_open()
    till.drain()

    assert top_up_due() == 0
    assert len(succeeded(sandbox, get_top_up(own_team(alice)))) == 1
    assert get_top_up(own_team(alice)).off_reason == OffReason.RETURNED
    assert Notice.objects.filter(user=alice, kind=Notice.Kind.TOP_UP_OFF).count() == 1


def test_a_refund_of_what_had_expired_and_the_next_order_do_not_block_each_other(
    alice: User, paid: Order, sandbox: Sandbox, till: Till
) -> None:
    Lot.objects.update(expires_at=timezone.now() - timedelta(days=1))
    expire_lots()
    till.drain()
    sandbox.refund(paid.stripe_payment_intent_id, 900)

    # Both lock the wallet and the top-up.
    with (
        in_background(top_up_due) as order_anew,
        before_statement('FOR NO KEY UPDATE OF "billing_wallet"', order_anew),
    ):
        book_charge(paid.stripe_charge_id)

    paid.refresh_from_db()
    assert paid.clawed_back_credits == 1_000_000
    assert get_top_up(own_team(alice)).off_reason == OffReason.RETURNED


@pytest.mark.usefixtures("unchecked_books")
def test_who_disputed_a_charge_is_not_charged_again_once_unfrozen(
    alice: User, paid: Order, sandbox: Sandbox
) -> None:
    dispute_id = sandbox.dispute(paid.stripe_charge_id)
    hear("charge.dispute.created", dispute_id, charge=paid.stripe_charge_id)
    unfreeze_wallet(wallet_of(alice), causes=open_freezes(wallet_of(alice)))
    Wallet.objects.update(posted_credits=0)

    assert top_up_due() == 0

    assert get_top_up(own_team(alice)).off_reason == OffReason.RETURNED


@pytest.mark.usefixtures("unchecked_books")
def test_a_dispute_freezes_the_wallet_and_stops_the_next_top_up(
    alice: User, paid: Order, sandbox: Sandbox
) -> None:
    dispute_id = sandbox.dispute(paid.stripe_charge_id)

    hear("charge.dispute.created", dispute_id, charge=paid.stripe_charge_id)

    assert Dispute.objects.get().order == paid
    assert Wallet.objects.get(team__person=alice).state == Wallet.State.FROZEN
    Wallet.objects.update(posted_credits=0)
    assert top_up_due() == 0


def test_a_refund_before_its_fulfilment_is_booked_with_it(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    intent_id = intents(sandbox, top_up)[0]
    sandbox.refund(intent_id, 900)
    book_charge(sandbox.charge_id(intent_id))

    hear("payment_intent.succeeded", intent_id, metadata={"channel": "top_up"})

    paid = Order.objects.get()
    assert (paid.status, paid.refunded_cents) == ("fulfilled", 900)
    assert (credited(alice), paid.taken_back_credits) == (1_000_000, 1_000_000)


def test_the_books_and_stripe_agree_about_a_top_up(paid: Order) -> None:
    # Other tests' charges are in the same account at Stripe.
    findings = audit_stripe(grace=timedelta(0))
    assert [each for each in findings if str(paid.public_id) in each.subject] == []


def test_the_reconciliation_credits_a_top_up_that_nobody_told_of(
    alice: User, top_up: AutoTopUp, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    Order.objects.update(status=Order.Status.EXPIRED)

    findings = reconcile()

    order_id = str(Order.objects.get().public_id)
    assert [each for each in findings if order_id in each.subject] == []
    assert credited(alice) == 1_000_000


def test_the_webhook_alone_credits_it_once(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    intent_id = intents(sandbox, top_up)[0]

    for _ in range(2):
        hear("payment_intent.succeeded", intent_id, metadata={"channel": "top_up"})

    assert credited(alice) == 1_000_000


def test_staff_and_customers_can_ask_stripe_again(
    alice: User, top_up: AutoTopUp, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()

    found = ask_again(Order.objects.get())

    assert found.status == Order.Status.FULFILLED
    assert ask_again(found).status == Order.Status.FULFILLED
    assert credited(alice) == 1_000_000
    assert get_top_up(own_team(alice)).is_on


def test_a_payment_of_checkout_is_left_to_its_session(sandbox: Sandbox, alice: User) -> None:
    event = hear("payment_intent.succeeded", "pi_of_checkout", metadata={"order_id": "x"})

    assert event.error == ""
