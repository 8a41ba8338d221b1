from itertools import permutations

import pytest
from django.db.models import Sum

from accounts.models import User
from billing.models import Debit, InboxItem, Purchase, StripeEvent, Wallet
from billing.services.checkout import start_checkout
from billing.services.fulfilment import fulfil_purchase
from billing.services.stripe_events import process_due_events, receive_event
from billing.services.wallets import unfreeze_wallet
from tests.billing.payments.racing import before_statement, in_background
from tests.billing.payments.sandbox import Sandbox, event_body, sign
from tests.billing.wallet.shop import Till


@pytest.fixture
def fulfilled(paid: Purchase) -> Purchase:
    """$9.00 paid for 1,000,000 credits, and credited."""
    return fulfil_purchase(paid.stripe_session_id or "")


def refund(order: Purchase, sandbox: Sandbox, amount_cents: int) -> str:
    """Refund at Stripe and return the charge; we have not heard of it."""
    session = sandbox.session(order.stripe_session_id)
    assert isinstance(session.payment_intent, str)
    sandbox.refund(session.payment_intent, amount_cents)
    return sandbox.charge_id(session.payment_intent)


def hear(kind: str, object_id: str, **subject: object) -> StripeEvent:
    body = event_body(kind, id=object_id, **subject)
    event = receive_event(body, sign(body))
    process_due_events()
    event.refresh_from_db()
    assert event.processed_at is not None, event.error
    return event


def asked_back() -> int:
    return Debit.objects.aggregate(total=Sum("amount_credits"))["total"] or 0


def test_a_full_refund_takes_all_credits_back(fulfilled: Purchase, sandbox: Sandbox) -> None:
    charge_id = refund(fulfilled, sandbox, 900)

    hear("charge.refunded", charge_id)

    debit = Debit.objects.get()
    assert (debit.kind, debit.amount_credits) == ("clawback", 1_000_000)
    assert debit.purchase == fulfilled
    fulfilled.refresh_from_db()
    assert (fulfilled.refunded_cents, fulfilled.clawed_back_credits) == (900, 1_000_000)


def test_a_refund_takes_from_the_live_balance(
    fulfilled: Purchase, sandbox: Sandbox, till: Till
) -> None:
    hear("charge.refunded", refund(fulfilled, sandbox, 300))

    assert till.balance().available_credits == 666_667
    till.drain()
    assert till.posted() == 666_667
    assert till.lots() == [666_667]


def test_what_was_spent_before_the_refund_is_debt_that_the_next_purchase_pays(
    fulfilled: Purchase, alice: User, sandbox: Sandbox, till: Till
) -> None:
    till.place("r1", 400_000)
    till.settle("r1", 400_000)

    hear("charge.refunded", refund(fulfilled, sandbox, 900))
    till.drain()

    assert (till.balance().available_credits, till.balance().debt_credits) == (0, 400_000)
    second = start_checkout(alice, pack_slug="starter")
    sandbox.pay(second.stripe_session_id)
    fulfil_purchase(second.stripe_session_id or "")
    assert (till.balance().available_credits, till.balance().debt_credits) == (600_000, 0)


def test_a_refund_before_the_fulfilment_makes_no_debt(
    paid: Purchase, sandbox: Sandbox, till: Till
) -> None:
    refund(paid, sandbox, 450)

    fulfil_purchase(paid.stripe_session_id or "")
    till.drain()

    assert (till.balance().available_credits, till.balance().debt_credits) == (500_000, 0)


def test_refunds_in_thirds_end_exact(fulfilled: Purchase, sandbox: Sandbox) -> None:
    taken = []
    for _ in range(3):
        hear("charge.refunded", refund(fulfilled, sandbox, 300))
        taken.append(asked_back())

    assert taken == [333_333, 666_666, 1_000_000]


def test_one_event_for_many_refunds_is_enough(fulfilled: Purchase, sandbox: Sandbox) -> None:
    refund(fulfilled, sandbox, 300)
    charge_id = refund(fulfilled, sandbox, 150)

    hear("refund.created", "re_1", charge=charge_id)

    assert asked_back() == 500_000


@pytest.mark.parametrize(
    "kinds",
    list(permutations(["charge.refunded", "refund.created", "refund.updated"])),
    ids=" ".join,
)
def test_events_in_any_order_and_twice_take_once(
    fulfilled: Purchase, sandbox: Sandbox, kinds: tuple[str, ...]
) -> None:
    charge_id = refund(fulfilled, sandbox, 450)

    for kind in kinds * 2:
        hear(kind, charge_id if kind.startswith("charge") else "re_1", charge=charge_id)

    assert asked_back() == 500_000


def test_a_refund_before_the_fulfilment_counts(paid: Purchase, sandbox: Sandbox) -> None:
    charge_id = refund(paid, sandbox, 450)
    hear("charge.refunded", charge_id)
    assert asked_back() == 0

    fulfil_purchase(paid.stripe_session_id or "")

    assert asked_back() == 500_000


@pytest.mark.parametrize(
    "statement", ['FROM "billing_purchase"', 'INSERT INTO "billing_ledgerentry"', "UPDATE"]
)
def test_a_refund_in_the_middle_of_the_fulfilment_counts(
    paid: Purchase, sandbox: Sandbox, statement: str
) -> None:
    with (
        in_background(lambda: hear("charge.refunded", refund(paid, sandbox, 450))) as start,
        before_statement(statement, start),
    ):
        fulfil_purchase(paid.stripe_session_id or "")

    assert asked_back() == 500_000


def test_an_answer_older_than_what_was_booked_alarms_nobody(
    fulfilled: Purchase, sandbox: Sandbox
) -> None:
    charge_id = refund(fulfilled, sandbox, 300)

    def refund_again() -> None:
        hear("charge.refunded", refund(fulfilled, sandbox, 300))

    # The second refund is booked while the first one's answer is on its way to the order.
    with (
        in_background(refund_again) as start,
        before_statement('FROM "billing_purchase"', start),
    ):
        hear("charge.refunded", charge_id)

    assert asked_back() == 666_666
    assert not InboxItem.objects.exists()


def test_a_refund_that_failed_is_left_to_a_person(fulfilled: Purchase, sandbox: Sandbox) -> None:
    charge_id = refund(fulfilled, sandbox, 450)
    hear("charge.refunded", charge_id)
    sandbox.tamper(charge_id, amount_refunded=0, refunded=False)

    hear("refund.failed", "re_1", charge=charge_id)

    assert asked_back() == 500_000
    assert InboxItem.objects.get().kind == "refund_failed"


def test_a_charge_of_another_shop_is_left_alone(fulfilled: Purchase, sandbox: Sandbox) -> None:
    charge_id = refund(fulfilled, sandbox, 900)
    sandbox.tamper(charge_id, metadata={})

    hear("charge.refunded", charge_id)
    hear("charge.dispute.closed", "dp_1", charge=charge_id)

    assert asked_back() == 0
    assert not InboxItem.objects.exists()


@pytest.mark.parametrize("kind", ["charge.dispute.created", "radar.early_fraud_warning.created"])
def test_a_dispute_freezes_the_wallet_until_a_person_decides(
    fulfilled: Purchase, alice: User, sandbox: Sandbox, kind: str
) -> None:
    charge_id = sandbox.charge_id(fulfilled.stripe_payment_intent_id)

    hear(kind, "dp_1", charge=charge_id)

    wallet = Wallet.objects.get(user=alice)
    assert wallet.state == Wallet.State.FROZEN
    assert "dp_1" in wallet.frozen_reason
    unfreeze_wallet(wallet)
    hear(kind, "dp_1", charge=charge_id)
    wallet.refresh_from_db()
    assert wallet.state == Wallet.State.ACTIVE
    assert InboxItem.objects.count() == 1


def test_a_closed_dispute_is_shown_to_a_person(
    fulfilled: Purchase, alice: User, sandbox: Sandbox
) -> None:
    charge_id = sandbox.charge_id(fulfilled.stripe_payment_intent_id)

    hear("charge.dispute.closed", "dp_1", charge=charge_id)

    assert set(InboxItem.objects.values_list("kind", flat=True)) == {"dispute", "dispute_closed"}
    assert Wallet.objects.get(user=alice).state == Wallet.State.FROZEN
