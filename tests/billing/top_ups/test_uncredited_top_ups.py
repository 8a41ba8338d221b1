"""A top-up that was charged and brought no credits is not charged again by itself."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.models import AutoTopUp, InboxItem, Notice, Order, Wallet
from billing.orders.reviews import close_reviewed, credit_reviewed
from billing.orders.top_up_orders import top_up_due
from billing.orders.top_up_payments import fulfil_top_up
from billing.stripe_inbox.open_orders import check_open_orders
from billing.top_ups.agreement import Terms, agree, get_top_up, switch_off_by_customer
from billing.top_ups.switch import OffReason, State
from tests import desk
from tests.billing.payments.conftest import hear, posted
from tests.billing.top_ups.conftest import TERMS, SaveCard, intents, orders_of, succeeded
from tests.racing import before_statement, in_background, race
from tests.stripe_sandbox import Sandbox

SWEEPS = 12
# What the ceiling of $3,000.00 has room for, and more than all sweeps charge.
WIDE = Terms("starter", "usd", threshold_credits=200_000, monthly_ceiling_cents=300_000)


@pytest.fixture
def differing(alice: User, save_card: SaveCard, settings: Settings) -> AutoTopUp:
    """Alice's, and each of its payments differs from its order: they are made in test mode."""
    found = save_card(alice, terms=WIDE)
    settings.STRIPE_LIVE_MODE = True
    return found


def told_off(user: User) -> int:
    return Notice.objects.filter(user=user, kind=Notice.Kind.TOP_UP_OFF).count()


def sweep() -> None:
    Order.objects.update(next_check_at=timezone.now())
    check_open_orders()


def test_sweeps_charge_once_what_lands_in_review(
    alice: User, differing: AutoTopUp, sandbox: Sandbox
) -> None:
    for _ in range(SWEEPS):
        top_up_due()
        sweep()

    assert len(succeeded(sandbox, differing)) == 1
    assert (orders_of(alice), posted(alice)) == (["review"], 0)
    now = get_top_up(own_team(alice))
    assert (now.state, now.off_reason) == (State.OFF, OffReason.UNCREDITED)
    assert now.off_detail == str(Order.objects.get().public_id)
    assert told_off(alice) == Notice.objects.filter(user=alice).count() == 1
    assert Notice.objects.get().facts == {"reason": "uncredited"}


def test_sweeps_at_once_charge_once_what_lands_in_review(
    alice: User, differing: AutoTopUp, sandbox: Sandbox
) -> None:
    def sweep_often() -> int:
        return sum(top_up_due() for _ in range(SWEEPS // 2))

    made = race([sweep_often, sweep_often], meet_at='INSERT INTO "billing_order"')

    assert sum(made) == len(succeeded(sandbox, differing)) == 1
    assert told_off(alice) == 1


def test_a_sweep_between_review_and_switching_off_orders_nothing(
    alice: User, differing: AutoTopUp, sandbox: Sandbox
) -> None:
    with (
        in_background(top_up_due) as start,
        before_statement('UPDATE "billing_autotopup"', start),
    ):
        top_up_due()

    assert len(succeeded(sandbox, differing)) == told_off(alice) == 1


@pytest.mark.parametrize("decide", [credit_reviewed, close_reviewed])
@pytest.mark.usefixtures("unchecked_books")
def test_it_stays_off_whatever_a_person_decides(
    decide: Callable[..., Order],
    alice: User,
    bob: User,
    differing: AutoTopUp,
    sandbox: Sandbox,
) -> None:
    top_up_due()

    decide(Order.objects.get(), actor=bob, reason="Looked at")
    Wallet.objects.filter(team__person=alice).update(posted_credits=0)

    assert top_up_due() == 0
    assert not get_top_up(own_team(alice)).is_on
    assert len(succeeded(sandbox, differing)) == 1


def test_the_customer_switches_it_on_again_and_the_next_one_in_review_is_told_too(
    alice: User, differing: AutoTopUp, sandbox: Sandbox
) -> None:
    top_up_due()
    assert agree(own_seat(alice), WIDE).is_on

    for _ in range(SWEEPS):
        top_up_due()

    assert len(succeeded(sandbox, differing)) == told_off(alice) == 2


def test_what_the_customer_switched_off_meanwhile_stays_theirs(
    alice: User, differing: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    switch_off_by_customer(own_seat(alice))

    sweep()

    assert orders_of(alice) == ["review"]
    assert get_top_up(own_team(alice)).off_reason == OffReason.CUSTOMER
    assert told_off(alice) == 0


def test_another_card_does_not_keep_it_on(
    alice: User,
    differing: AutoTopUp,
    save_card: SaveCard,
    lost_answer: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    top_up_due()
    lost_answer.undo()
    settings.STRIPE_LIVE_MODE = False
    save_card(alice, terms=WIDE)
    settings.STRIPE_LIVE_MODE = True

    sweep()

    assert orders_of(alice) == ["review"]
    assert get_top_up(own_team(alice)).off_reason == OffReason.UNCREDITED


def test_a_payment_that_names_nothing_is_not_made_anew_each_day(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()
    sandbox.tamper(intents(sandbox, top_up)[0], metadata={})

    sweep()
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=True):
        sweep()
        for _ in range(SWEEPS):
            top_up_due()

    assert orders_of(alice) == ["review"]
    assert len(succeeded(sandbox, top_up)) == told_off(alice) == 1


def pay_again(sandbox: Sandbox, top_up: AutoTopUp, order_id: str) -> str:
    """Charge the saved card once more, naming an order."""
    made = sandbox.client.v1.payment_intents.create(
        {
            "amount": 900,
            "currency": "usd",
            "customer": top_up.stripe_customer_id,
            "payment_method": top_up.stripe_payment_method_id,
            "confirm": True,
            "off_session": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"order_id": order_id, "channel": "top_up"},
        }
    )
    return made.id


@pytest.mark.parametrize("is_known", [True, False], ids=["paid-twice", "without-an-order"])
def test_a_charge_beyond_the_orders_switches_it_off_once(
    is_known: bool, alice: User, top_up: AutoTopUp, sandbox: Sandbox
) -> None:
    top_up_due()
    order_id = str(Order.objects.get().public_id) if is_known else str(top_up.public_id)
    other = pay_again(sandbox, top_up, order_id)

    hear("payment_intent.succeeded", other, metadata={"channel": "top_up"})

    assert get_top_up(own_team(alice)).off_reason == OffReason.UNCREDITED
    assert InboxItem.objects.count() == told_off(alice) == 1
    # Once more, such as by the daily comparison, after the customer has thought about it.
    agree(own_seat(alice), TERMS)
    hear("payment_intent.succeeded", other, metadata={"channel": "top_up"})
    assert get_top_up(own_team(alice)).is_on
    assert told_off(alice) == 1


def test_the_desk_and_the_dashboard_say_why(
    alice: User, differing: AutoTopUp, as_alice: Client
) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    top_up_due()

    page = as_alice.get("/dashboard/top-up/").text
    at_desk = root.get(desk.page_url(get_top_up(own_team(alice)))).text

    assert "Your card was charged, but" in page
    assert "a payment could not be credited" in at_desk
    assert str(Order.objects.get().public_id) in at_desk


def test_asking_again_about_one_in_review_leaves_what_was_switched_on_since(
    alice: User, differing: AutoTopUp
) -> None:
    top_up_due()
    agree(own_seat(alice), WIDE)

    fulfil_top_up(Order.objects.get().stripe_payment_intent_id)

    assert get_top_up(own_team(alice)).is_on
