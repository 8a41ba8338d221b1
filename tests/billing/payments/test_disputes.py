"""A dispute freezes and takes; won, it gives back; lost, it stays for a person."""

from datetime import timedelta

import pytest
from django.db.models import F

from accounts.models import User
from accounts.teams.members import own_seat
from billing.ledger.expiry import expire_lots
from billing.ledger.freezes import open_freezes
from billing.ledger.wallets import freeze_wallet, unfreeze_wallet, wallet_of
from billing.models import Dispute, Freeze, InboxItem, Lot, Order, Wallet
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.stripe_inbox.events import process_due_events, receive_event
from tests.billing.payments.conftest import hear
from tests.billing.payments.order_world import broken_books
from tests.stripe_sandbox import Sandbox, event_body, sign
from tests.till import Till

WON, LOST = "win", "lose"


def state_of(user: User) -> str:
    return Wallet.objects.get(team__person=user).state


def hear_of(dispute_id: str, charge_id: str, kind: str = "created") -> None:
    hear(f"charge.dispute.{kind}", dispute_id, charge=charge_id)


def decide(sandbox: Sandbox, dispute_id: str, charge_id: str, how: str) -> None:
    sandbox.control(f"disputes/{dispute_id}/{how}")
    hear_of(dispute_id, charge_id, "closed")


def figures(till: Till) -> tuple[int, int]:
    """Return what can be spent and what is owed."""
    till.drain()
    balance = till.balance()
    return balance.available_credits, balance.debt_credits


def test_a_dispute_freezes_the_wallet_and_takes_the_credits(
    charge_id: str, sandbox: Sandbox, till: Till, fulfilled: Order
) -> None:
    dispute_id = sandbox.dispute(charge_id)

    hear_of(dispute_id, charge_id)

    assert state_of(till.user) == Wallet.State.FROZEN
    assert figures(till) == (0, 0)
    fulfilled.refresh_from_db()
    assert (fulfilled.disputed_cents, fulfilled.taken_back_credits) == (900, 1_000_000)
    dispute = Dispute.objects.get()
    assert (dispute.stripe_dispute_id, dispute.status) == (dispute_id, "needs_response")
    assert dispute.respond_until is not None
    assert InboxItem.objects.get().kind == "dispute"


def test_a_dispute_that_is_won_gives_all_of_it_back(
    charge_id: str, sandbox: Sandbox, till: Till
) -> None:
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)

    decide(sandbox, dispute_id, charge_id, WON)

    assert state_of(till.user) == Wallet.State.ACTIVE
    assert figures(till) == (1_000_000, 0)
    assert not InboxItem.objects.filter(kind="dispute_lost").exists()


def test_a_dispute_that_is_lost_stays_for_a_person(
    charge_id: str, sandbox: Sandbox, till: Till
) -> None:
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)

    decide(sandbox, dispute_id, charge_id, LOST)

    assert state_of(till.user) == Wallet.State.FROZEN
    assert figures(till) == (0, 0)
    assert InboxItem.objects.filter(kind="dispute_lost", reference=dispute_id).exists()


def test_what_was_spent_before_the_dispute_is_owed_until_it_is_won(
    charge_id: str, sandbox: Sandbox, till: Till
) -> None:
    till.place("r1", 400_000)
    till.settle("r1", 400_000)
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    assert figures(till) == (0, 400_000)

    decide(sandbox, dispute_id, charge_id, WON)

    assert figures(till) == (600_000, 0)


def test_only_the_end_of_a_dispute_is_heard_of(
    charge_id: str, sandbox: Sandbox, till: Till
) -> None:
    dispute_id = sandbox.dispute(charge_id)

    decide(sandbox, dispute_id, charge_id, WON)

    assert (state_of(till.user), figures(till)) == (Wallet.State.ACTIVE, (1_000_000, 0))
    assert not Freeze.objects.exists()


def test_staff_froze_it_and_a_dispute_that_is_won_leaves_it_so(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    freeze_wallet(wallet_of(alice), reason="Resells to children")
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    assert "Resells" in Wallet.objects.get(team__person=alice).frozen_reason

    decide(sandbox, dispute_id, charge_id, WON)

    wallet = Wallet.objects.get(team__person=alice)
    assert (wallet.state, wallet.frozen_reason) == (Wallet.State.FROZEN, "Resells to children")


def test_what_a_person_unfroze_stays_so_while_the_same_dispute_goes_on(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    unfreeze_wallet(wallet_of(alice), causes=open_freezes(wallet_of(alice)))

    sandbox.control(f"disputes/{dispute_id}/submit")
    hear_of(dispute_id, charge_id, "updated")

    assert state_of(alice) == Wallet.State.ACTIVE
    assert Dispute.objects.get().status == "under_review"


def test_one_of_two_disputes_is_won_and_the_other_keeps_it_frozen(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    second = start_checkout(own_seat(alice), pack_slug="starter")
    sandbox.pay(second.stripe_session_id)
    other_charge = fulfil_checkout(second.stripe_session_id or "").stripe_charge_id
    one, other = sandbox.dispute(charge_id), sandbox.dispute(other_charge)
    hear_of(one, charge_id)
    hear_of(other, other_charge)

    decide(sandbox, one, charge_id, WON)
    frozen = state_of(alice)
    decide(sandbox, other, other_charge, WON)

    assert (frozen, state_of(alice)) == (Wallet.State.FROZEN, Wallet.State.ACTIVE)


@pytest.mark.parametrize("how", [WON, LOST])
def test_a_refund_and_a_dispute_on_one_charge_add_up(
    fulfilled: Order, charge_id: str, sandbox: Sandbox, till: Till, how: str
) -> None:
    sandbox.refund(fulfilled.stripe_payment_intent_id, 300)
    dispute_id = sandbox.dispute(charge_id, amount=600)
    hear_of(dispute_id, charge_id)
    assert figures(till) == (0, 0)

    decide(sandbox, dispute_id, charge_id, how)

    assert figures(till) == ((666_667, 0) if how == WON else (0, 0))


def test_an_inquiry_freezes_and_takes_nothing_until_it_becomes_a_dispute(
    charge_id: str, sandbox: Sandbox, till: Till
) -> None:
    dispute_id = sandbox.dispute(charge_id, inquiry=True)
    hear_of(dispute_id, charge_id)
    assert (state_of(till.user), figures(till)) == (Wallet.State.FROZEN, (1_000_000, 0))

    sandbox.control(f"disputes/{dispute_id}/escalate")
    hear_of(dispute_id, charge_id, "updated")

    assert figures(till) == (0, 0)


def test_a_dispute_before_the_fulfilment_counts(paid: Order, sandbox: Sandbox, till: Till) -> None:
    session = sandbox.session(paid.stripe_session_id)
    charge_id = sandbox.charge_id(str(session.payment_intent))
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    assert state_of(till.user) == Wallet.State.FROZEN

    fulfil_checkout(paid.stripe_session_id or "")

    assert figures(till) == (0, 0)


def warn(sandbox: Sandbox, charge_id: str) -> str:
    """Have the bank warn of a charge, and return the warning's id."""
    sandbox.control(f"charges/{charge_id}/warn")
    return sandbox.client.v1.radar.early_fraud_warnings.list({"charge": charge_id}).data[0].id


def test_a_fraud_warning_that_stripe_does_not_know_freezes_nobody(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    body = event_body("radar.early_fraud_warning.created", id="issfr_1", charge=charge_id)
    event = receive_event(body, sign(body))

    process_due_events()

    event.refresh_from_db()
    assert event.processed_at is None
    assert "PaymentObjectMissing" in event.error
    assert state_of(alice) == Wallet.State.ACTIVE


def test_a_dispute_in_another_currency_counts_as_all_of_the_payment(
    charge_id: str, sandbox: Sandbox, till: Till, fulfilled: Order
) -> None:
    dispute_id = sandbox.dispute(charge_id)
    # $9.00 are €5.82 at some rate, which are 646,666 of the credits by the wrong sum.
    sandbox.tamper(dispute_id, amount=582, currency="eur")

    hear_of(dispute_id, charge_id)

    fulfilled.refresh_from_db()
    assert (fulfilled.disputed_cents, fulfilled.taken_back_credits) == (900, 1_000_000)
    dispute = Dispute.objects.get()
    assert (dispute.amount_cents, dispute.currency) == (582, "eur")
    assert InboxItem.objects.filter(kind="dispute_in_other_currency").count() == 1
    decide(sandbox, dispute_id, charge_id, WON)
    assert figures(till) == (1_000_000, 0)


def test_a_charge_in_another_currency_is_taken_back_by_its_share(
    charge_id: str, sandbox: Sandbox, fulfilled: Order
) -> None:
    # The order of $9.00 was charged as €8.00, of which €2.00 went back.
    sandbox.tamper(charge_id, amount=800, currency="eur", amount_refunded=200)

    hear("charge.refunded", charge_id)

    fulfilled.refresh_from_db()
    assert (fulfilled.refunded_cents, fulfilled.taken_back_credits) == (225, 250_000)


def expire(till: Till) -> None:
    long_ago = timedelta(days=31)
    Lot.objects.update(expires_at=F("expires_at") - long_ago)
    Order.objects.update(fulfilled_at=F("fulfilled_at") - long_ago)
    expire_lots()
    till.drain()


def test_what_had_expired_does_not_come_back_with_a_won_dispute(
    charge_id: str, sandbox: Sandbox, till: Till, fulfilled: Order
) -> None:
    till.place("r1", 400_000)
    till.settle("r1", 400_000)
    till.drain()
    expire(till)
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    # 600,000 had expired; 400,000 were spent.
    assert figures(till) == (0, 400_000)

    for _ in range(2):
        decide_again(sandbox, till, dispute_id, charge_id)

        assert figures(till) == (0, 0)
        assert broken_books() == []
    sandbox.tamper(dispute_id, status="lost")
    hear_of(dispute_id, charge_id, "closed")
    assert figures(till) == (0, 400_000)
    assert broken_books() == []


def decide_again(sandbox: Sandbox, till: Till, dispute_id: str, charge_id: str) -> None:
    """Have the dispute go on, if it was decided, and be won."""
    sandbox.tamper(dispute_id, status="under_review")
    hear_of(dispute_id, charge_id, "updated")
    till.drain()
    sandbox.tamper(dispute_id, status="won")
    hear_of(dispute_id, charge_id, "closed")


def test_a_part_that_comes_back_lets_nobody_owe_what_had_expired(
    charge_id: str, sandbox: Sandbox, till: Till, fulfilled: Order
) -> None:
    till.place("r1", 400_000)
    till.settle("r1", 400_000)
    till.drain()
    expire(till)
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    till.drain()

    # Half of it: 500,000 are still taken back, of the 600,000 that had expired.
    sandbox.tamper(dispute_id, amount=450)
    sandbox.tamper(dispute_id, evidence_details={"due_by": 1_900_000_000})
    hear_of(dispute_id, charge_id, "updated")

    assert figures(till) == (0, 0)
    assert broken_books() == []


def test_a_fraud_warning_freezes_until_a_person_decides(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    kind = "radar.early_fraud_warning.created"
    warning_id = warn(sandbox, charge_id)

    hear(kind, warning_id)

    wallet = Wallet.objects.get(team__person=alice)
    assert wallet.state == Wallet.State.FROZEN
    assert warning_id in wallet.frozen_reason
    unfreeze_wallet(wallet, causes=open_freezes(wallet))
    hear(kind, warning_id)
    assert state_of(alice) == Wallet.State.ACTIVE
    assert InboxItem.objects.get().kind == "fraud_warning"


def test_a_dispute_that_is_won_does_not_lift_a_fraud_warning(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    hear("radar.early_fraud_warning.created", warn(sandbox, charge_id))
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)

    decide(sandbox, dispute_id, charge_id, WON)

    assert state_of(alice) == Wallet.State.FROZEN


@pytest.mark.parametrize("status", ["lost", "under_review", "needs_response"])
def test_a_dispute_that_begins_anew_after_it_was_won_freezes_again(
    charge_id: str, sandbox: Sandbox, till: Till, status: str
) -> None:
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    decide(sandbox, dispute_id, charge_id, WON)

    # The bank's second word: arbitration, or an inquiry that was closed and comes back.
    sandbox.tamper(dispute_id, status=status)
    hear_of(dispute_id, charge_id, "updated")

    assert (state_of(till.user), figures(till)) == (Wallet.State.FROZEN, (0, 0))
    assert Freeze.objects.get().lifted_at is None


def test_a_dispute_that_is_lost_after_a_person_unfroze_leaves_it_to_the_person(
    charge_id: str, sandbox: Sandbox, alice: User
) -> None:
    dispute_id = sandbox.dispute(charge_id)
    hear_of(dispute_id, charge_id)
    unfreeze_wallet(wallet_of(alice), causes=open_freezes(wallet_of(alice)))

    decide(sandbox, dispute_id, charge_id, LOST)

    assert state_of(alice) == Wallet.State.ACTIVE
    item = InboxItem.objects.get(kind="dispute_lost")
    assert "stays frozen" not in item.summary
