"""Whoever leaves while a card is saved or charged."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.exceptions import LeavingRefused
from billing.leaving.deletion import delete_account
from billing.models import AutoTopUp, InboxItem, Order, Pack, Refund, TopUpPayment
from billing.orders.refunds import advance_refunds
from billing.orders.top_up_orders import top_up_due
from billing.orders.top_up_payments import fulfil_top_up
from billing.top_ups.agreement import agree, get_top_up
from billing.top_ups.cards import start_setup
from tests.billing.top_ups.conftest import TERMS, SaveCard, credited, intents, orders_of
from tests.stripe_sandbox import Sandbox


def test_a_page_on_which_a_card_could_be_saved_ends(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    session_id = get_top_up(own_team(alice)).stripe_setup_session_id

    delete_account(alice)

    assert sandbox.session(session_id).status == "expired"


def test_a_charge_whose_answer_was_lost_is_found_before_the_account_goes(
    alice: User, top_up: AutoTopUp, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    assert orders_of(alice) == ["open"]

    with pytest.raises(LeavingRefused, match="just arrived"):
        delete_account(alice)

    assert (orders_of(alice), credited(alice)) == (["fulfilled"], 1_000_000)
    delete_account(alice)


def test_a_charge_that_a_bank_decides_about_is_awaited(alice: User, save_card: SaveCard) -> None:
    save_card(alice, method="bank")
    top_up_due()
    assert orders_of(alice) == ["pending"]

    with pytest.raises(LeavingRefused, match="on its way"):
        delete_account(alice)


def test_a_charge_that_stripe_never_heard_of_is_given_up(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    order = open_top_up(alice, top_up)

    delete_account(alice)

    order.refresh_from_db()
    assert (order.status, intents(sandbox, top_up)) == (Order.Status.EXPIRED, [])


def test_a_charge_that_comes_through_after_its_account_is_gone_is_returned(
    alice: User, top_up: AutoTopUp, lost_answer: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    top_up_due()
    lost_answer.undo()
    # The payment's event and the deletion's look at Stripe miss each other.
    Order.objects.update(status=Order.Status.EXPIRED)
    delete_account(alice)

    fulfil_top_up(intents(sandbox, top_up)[0])
    advance_refunds()

    assert (orders_of(alice), credited(alice)) == (["review"], 0)
    refund = Refund.objects.get()
    assert (refund.amount_cents, refund.status) == (900, Refund.Status.SUCCEEDED)
    assert "deleted" in InboxItem.objects.get().summary


def open_top_up(user: User, top_up: AutoTopUp) -> Order:
    """Make a top-up's order as a process does that dies before it asks Stripe."""
    order = Order.objects.create(
        team=own_team(user),
        buyer=user,
        pack=top_up.pack,
        channel=Order.Channel.TOP_UP,
        pack_name="Starter",
        credits=1_000_000,
        amount_cents=900,
        currency="usd",
        expires_at=timezone.now() + timedelta(hours=23),
    )
    TopUpPayment.objects.create(
        order=order,
        request={
            "customer": top_up.stripe_customer_id,
            "payment_method": top_up.stripe_payment_method_id,
        },
    )
    return order
