"""Refunds that we ask for: the credits first, then the money."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.exceptions import MissingReason, RefundRefused
from billing.ledger.credits import post_credit
from billing.ledger.debits import decide_open
from billing.ledger.expiry import expire_lots
from billing.ledger.references import RequestCharge
from billing.ledger.wallets import freeze_wallet
from billing.models import InboxItem, Lot, Order, Refund, Wallet
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.clawback import find_lots
from billing.orders.refund_offers import Offer, offer_unused, owed_after
from billing.orders.refunds import (
    advance_refunds,
    offer_to_customer,
    refund_amount,
    refund_to_customer,
    refund_unused,
)
from devstack.ports import free_port
from tests.billing.payments.conftest import hear
from tests.billing.payments.order_world import broken_books
from tests.conftest import open_fences
from tests.racing import before_statement, race
from tests.stripe_sandbox import Sandbox
from tests.till import Till

Status = Refund.Status


def work(till: Till) -> None:
    """Book what was taken, and let the sweep ask Stripe."""
    till.drain()
    Refund.objects.update(next_attempt_at=timezone.now())
    advance_refunds()


def at_stripe(order: Order, sandbox: Sandbox) -> list[int]:
    """Return the amounts of the refunds that Stripe knows, oldest first."""
    found = sandbox.client.v1.refunds.list({"charge": order.stripe_charge_id})
    return [refund.amount for refund in reversed(found.data)]


def spend(till: Till, credits: int) -> None:
    name = uuid4().hex
    till.place(name, credits)
    till.settle(name, credits)
    till.drain()


def give(order: Order, actor: User, amount_cents: int = 300) -> Refund:
    return refund_amount(order, amount_cents=amount_cents, actor=actor, reason="Unhappy")


def test_the_credits_are_taken_before_stripe_is_asked(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    refund = give(fulfilled, bob)

    assert till.balance().available_credits == 666_667
    assert advance_refunds() == 0
    assert at_stripe(fulfilled, sandbox) == []
    assert refund.debit is not None


def test_a_refund_reaches_stripe_with_our_names_on_it(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    refund = give(fulfilled, bob)

    work(till)

    refund.refresh_from_db()
    found = sandbox.client.v1.refunds.retrieve(refund.stripe_refund_id)
    assert (found.amount, found.reason) == (300, "requested_by_customer")
    assert found.metadata is not None
    assert found.metadata["refund_id"] == str(refund.public_id)
    assert found.metadata["order_id"] == str(fulfilled.public_id)
    assert refund.status == Status.SUCCEEDED
    fulfilled.refresh_from_db()
    assert (fulfilled.refunded_cents, fulfilled.taken_back_credits) == (300, 333_333)


def test_the_event_of_our_own_refund_takes_nothing_more(
    fulfilled: Order, bob: User, till: Till
) -> None:
    give(fulfilled, bob)
    work(till)

    for kind in ("charge.refunded", "charge.refunded"):
        hear(kind, fulfilled.stripe_charge_id)
    till.drain()

    assert till.posted() == till.balance().available_credits == 666_667


def test_refunds_in_thirds_end_exact(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    left = []
    for _ in range(3):
        give(fulfilled, bob)
        work(till)
        left.append(till.posted())

    assert left == [666_667, 333_334, 0]
    assert at_stripe(fulfilled, sandbox) == [300, 300, 300]


def test_of_spent_credits_a_refund_by_amount_leaves_debt(
    fulfilled: Order, bob: User, till: Till
) -> None:
    spend(till, 900_000)

    give(fulfilled, bob, 900)
    work(till)

    assert (till.posted(), till.balance().debt_credits) == (0, 900_000)


def test_the_unused_part_is_rounded_down_to_cents_and_leaves_no_debt(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    spend(till, 400_001)

    refund_unused(fulfilled, actor=bob, reason="Leaves")
    work(till)

    # 599,999 of 1,000,000 for $9.00 are $5.39; 539 cents are worth 598,888.
    assert at_stripe(fulfilled, sandbox) == [539]
    assert (till.posted(), till.balance().debt_credits) == (599_999 - 598_888, 0)


def test_what_is_spent_before_it_could_be_taken_is_not_refunded(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    with till.redis_away():
        refund_unused(fulfilled, actor=bob, reason="Leaves")
    open_fences(till.client)
    spend(till, 1)
    decide_open()

    work(till)

    assert Refund.objects.get().status == Status.REFUSED
    assert at_stripe(fulfilled, sandbox) == []
    assert (till.posted(), till.balance().debt_credits) == (999_999, 0)


def test_a_refund_that_stripe_refuses_gives_the_credits_back(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    give(fulfilled, bob)
    # Staff was faster in Stripe's own dashboard, and we have not heard of it.
    sandbox.refund(fulfilled.stripe_payment_intent_id, 900)

    work(till)

    assert Refund.objects.get().status == Status.REFUSED
    assert till.balance().available_credits == 1_000_000
    assert InboxItem.objects.get().kind == "refund_refused"
    hear("charge.refunded", fulfilled.stripe_charge_id)
    till.drain()
    assert (till.posted(), till.balance().debt_credits) == (0, 0)


def test_a_refund_whose_answer_was_lost_is_found_and_not_asked_again(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till, settings: Settings
) -> None:
    refund = give(fulfilled, bob)
    till.drain()
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"
    advance_refunds()
    refund.refresh_from_db()
    assert (refund.status, refund.attempts) == (Status.OPEN, 1)
    assert refund.next_attempt_at > timezone.now()
    settings.STRIPE_API_BASE = sandbox.url
    # It did arrive; but so late that Stripe has forgotten our key.
    sandbox.client.v1.refunds.create(
        {
            "payment_intent": fulfilled.stripe_payment_intent_id,
            "amount": 300,
            "metadata": {"refund_id": str(refund.public_id)},
        }
    )

    work(till)

    refund.refresh_from_db()
    assert refund.status == Status.SUCCEEDED
    assert at_stripe(fulfilled, sandbox) == [300]
    assert till.posted() == 666_667


def test_a_refund_that_fails_later_gives_the_credits_back(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    refund = give(fulfilled, bob)
    work(till)
    refund.refresh_from_db()
    sandbox.control(f"refunds/{refund.stripe_refund_id}/fail")

    hear("refund.failed", refund.stripe_refund_id, charge=fulfilled.stripe_charge_id)

    refund.refresh_from_db()
    assert refund.status == Status.FAILED
    assert till.balance().available_credits == 1_000_000


def test_the_unused_part_can_be_refunded_again_after_a_refund_that_failed(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    spend(till, 400_000)
    first = refund_unused(fulfilled, actor=bob, reason="Leaves")
    work(till)
    first.refresh_from_db()
    sandbox.control(f"refunds/{first.stripe_refund_id}/fail")
    hear("refund.failed", first.stripe_refund_id, charge=fulfilled.stripe_charge_id)
    fulfilled.refresh_from_db()
    assert till.balance().available_credits == 600_000

    again = refund_unused(fulfilled, actor=bob, reason="Leaves")
    work(till)

    assert again.amount_cents == first.amount_cents == 540
    assert (till.posted(), till.balance().debt_credits) == (0, 0)
    assert broken_books() == []


def test_the_unused_part_can_be_refunded_after_a_dispute_that_was_won(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    # Bought beside it, and to be used first.
    till.grant(50_000)
    dispute_id = sandbox.dispute(fulfilled.stripe_charge_id)
    hear("charge.dispute.created", dispute_id, charge=fulfilled.stripe_charge_id)
    till.drain()
    sandbox.end_dispute(dispute_id, "win")
    hear("charge.dispute.closed", dispute_id, charge=fulfilled.stripe_charge_id)

    given = refund_unused(Order.objects.get(), actor=bob, reason="Leaves")
    work(till)

    assert given.amount_cents == 900
    assert till.posted() == 50_000


def test_what_is_refunded_as_unused_is_taken_and_not_what_had_expired(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    # Half comes back from a dispute that was won, and is valid for longer than the other half.
    dispute_id = sandbox.dispute(fulfilled.stripe_charge_id, amount=450)
    hear("charge.dispute.created", dispute_id, charge=fulfilled.stripe_charge_id)
    till.drain()
    sandbox.end_dispute(dispute_id, "win")
    hear("charge.dispute.closed", dispute_id, charge=fulfilled.stripe_charge_id)
    sale = find_lots(fulfilled).order_by("pk").first()
    assert sale
    Lot.objects.filter(pk=sale.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    expire_lots()
    till.drain()
    assert till.posted() == 500_000

    given = refund_unused(Order.objects.get(), actor=bob, reason="Leaves")
    work(till)

    assert given.amount_cents == 450
    assert (till.posted(), till.balance().debt_credits) == (0, 0)


def test_the_same_key_asks_once(fulfilled: Order, bob: User, till: Till) -> None:
    key = uuid4()

    race([partial(refund_unused, fulfilled, actor=bob, reason="Leaves", key=key)] * 3)

    assert Refund.objects.count() == 1
    till.drain()
    assert till.posted() == 0


def test_who_is_overtaken_by_the_same_key_gets_its_refund(fulfilled: Order, bob: User) -> None:
    refund = partial(refund_unused, fulfilled, actor=bob, reason="Leaves", key=uuid4())
    first: list[Refund] = []

    # Before the look at what is left, which comes before that for a refund of this key.
    with before_statement('FROM "billing_lot"', lambda: first.append(refund())):
        second = refund()

    assert [second] == first


@pytest.mark.parametrize("amount", [0, -1, 901])
def test_it_refuses_an_amount_that_was_not_paid(fulfilled: Order, bob: User, amount: int) -> None:
    with pytest.raises(RefundRefused):
        give(fulfilled, bob, amount)

    assert not Refund.objects.exists()


def test_it_refuses_a_second_refund_while_one_is_under_way(fulfilled: Order, bob: User) -> None:
    give(fulfilled, bob)

    with pytest.raises(RefundRefused, match="under way"):
        give(fulfilled, bob)


def test_it_refuses_to_refund_what_is_disputed(
    fulfilled: Order, bob: User, sandbox: Sandbox
) -> None:
    sandbox.dispute(fulfilled.stripe_charge_id)
    hear("charge.dispute.created", "dp_1", charge=fulfilled.stripe_charge_id)

    with pytest.raises(RefundRefused, match="disputed"):
        give(fulfilled, bob)


def test_customers_return_so_many_orders_by_themselves(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    settings.CUSTOMER_REFUNDS_PER_MONTH = 1
    other = start_checkout(own_seat(fulfilled.buyer), pack_slug="starter")
    sandbox.pay(other.stripe_session_id)
    other = fulfil_checkout(other.stripe_session_id or "")

    def ask(order: Order) -> bool:
        try:
            return bool(refund_to_customer(order, key=uuid4()))
        except RefundRefused:
            return False

    taken = race(
        [partial(ask, fulfilled), partial(ask, other)], meet_at='INSERT INTO "billing_refund"'
    )

    assert sorted(taken) == [False, True]
    assert offer_to_customer(fulfilled) is None
    assert offer_to_customer(other) is None
    work(till)
    # Staff may go on, and next month the customer, too.
    left = other if Refund.objects.filter(order=fulfilled).exists() else fulfilled
    Refund.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert offer_to_customer(left) is not None


def test_it_says_what_would_be_owed(
    fulfilled: Order, bob: User, sandbox: Sandbox, till: Till
) -> None:
    spend(till, 400_000)
    found = owed_after(fulfilled, 900), owed_after(fulfilled, 540), owed_after(fulfilled, 700)

    give(fulfilled, bob, 700)
    work(till)

    assert found == (400_000, 0, 177_777)
    assert till.balance().debt_credits == 177_777


def test_it_refuses_an_order_that_was_not_paid(order: Order, bob: User) -> None:
    with pytest.raises(RefundRefused, match="not paid"):
        give(order, bob)


def test_it_refuses_a_refund_without_a_reason(fulfilled: Order, bob: User) -> None:
    with pytest.raises(MissingReason):
        refund_amount(fulfilled, amount_cents=1, actor=bob, reason="  ")


def test_a_customer_is_offered_the_unused_part_for_so_many_days(
    fulfilled: Order, settings: Settings, till: Till
) -> None:
    assert offer_to_customer(fulfilled) is None
    settings.CUSTOMER_REFUND_DAYS = 14
    spend(till, 500_000)

    offer = offer_to_customer(fulfilled)
    assert offer is not None
    assert (offer.amount_cents, offer.credits) == (450, 500_000)
    fulfilled.fulfilled_at = timezone.now() - timedelta(days=15)

    assert offer_to_customer(fulfilled) is None


def test_a_customer_whose_wallet_is_frozen_is_offered_nothing(
    fulfilled: Order, settings: Settings, till: Till
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    freeze_wallet(till.wallet, reason="Looks stolen")

    assert offer_to_customer(fulfilled) is None
    with pytest.raises(RefundRefused):
        refund_to_customer(fulfilled, key=uuid4())


def test_held_credits_are_not_unused(fulfilled: Order, till: Till) -> None:
    till.place("r1", 1_000_000)

    assert offer_unused(fulfilled) is None


def test_a_part_is_offered_in_amounts_that_the_currency_has(
    fulfilled: Order, bob: User, till: Till
) -> None:
    # 9.005 dinars, of which Stripe takes no thousandths.
    Order.objects.update(currency="kwd", amount_cents=9_005, paid_cents=9_005)
    fulfilled.refresh_from_db()

    whole = offer_unused(fulfilled)
    spend(till, 400_001)
    part = offer_unused(fulfilled)

    assert whole is not None
    assert part is not None
    assert (whole.amount_cents, part.amount_cents) == (9_005, 5_400)
    with pytest.raises(RefundRefused, match="divisible by 10"):
        give(fulfilled, bob, 5_401)


def test_what_is_charged_but_not_booked_yet_is_not_unused(
    fulfilled: Order, alice: User, till: Till
) -> None:
    # 1,000,000 that were bought, and as many that stay when those are spent.
    post_credit(
        till.wallet.pk,
        kind="grant",
        amount_credits=1_000_000,
        reference=RequestCharge("goodwill"),
        actor=alice,
    )
    till.place("r1", 400_000)
    till.settle("r1", 400_000)

    offer = offer_unused(fulfilled)

    assert offer == Offer(amount_cents=540, credits=600_000)


def test_what_is_charged_of_another_lot_leaves_the_order_unused(
    fulfilled: Order, till: Till
) -> None:
    # A gift is used first.
    till.grant(400_000)
    till.place("r1", 500_000)
    till.settle("r1", 500_000)

    assert offer_unused(fulfilled) == Offer(amount_cents=810, credits=900_000)


def test_a_customers_refund_that_stripe_refuses_is_told_to_staff_with_its_reason(
    fulfilled: Order, sandbox: Sandbox, till: Till, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    refund = refund_to_customer(fulfilled, key=uuid4())
    sandbox.refund(fulfilled.stripe_payment_intent_id, 900)

    work(till)

    item = InboxItem.objects.get()
    assert (item.kind, item.reference) == ("refund_refused", str(refund.public_id))
    assert "has already been refunded" in item.summary


def test_a_customers_refund_that_was_spent_meanwhile_bothers_nobody(
    fulfilled: Order, till: Till, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    with till.redis_away():
        refund_to_customer(fulfilled, key=uuid4())
    open_fences(till.client)
    spend(till, 1)
    decide_open()

    work(till)

    assert Refund.objects.get().status == Status.REFUSED
    assert not InboxItem.objects.exists()


def test_sweeps_at_once_share_the_refunds(fulfilled: Order, bob: User, till: Till) -> None:
    give(fulfilled, bob)
    till.drain()

    counts = race([advance_refunds] * 3, meet_at='UPDATE "billing_refund"')

    assert sorted(counts) == [0, 0, 1]
    assert Refund.objects.get().status == Status.SUCCEEDED


def test_a_customer_who_owes_tokens_is_offered_nothing(
    fulfilled: Order, settings: Settings, till: Till
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 14
    assert offer_to_customer(fulfilled) is not None

    Wallet.objects.filter(pk=till.wallet.pk).update(debt_credits=1)

    assert offer_to_customer(fulfilled) is None
