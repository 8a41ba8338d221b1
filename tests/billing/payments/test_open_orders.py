from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_team
from billing.models import InboxItem, Order, Pack
from billing.stripe_inbox.open_orders import check_open_orders
from billing.tasks.stripe import sweep_open_orders
from devstack.ports import free_port
from tests.billing.payments.conftest import posted, status_of
from tests.racing import race
from tests.stripe_sandbox import Sandbox

Status = Order.Status


def make_due() -> None:
    Order.objects.update(next_check_at=timezone.now())


def test_a_young_order_is_left_alone(paid: Order) -> None:
    assert check_open_orders() == 0

    assert status_of(paid) == Status.OPEN
    assert paid.next_check_at - paid.created_at == timedelta(minutes=1)


def test_the_task_finds_a_payment_that_nobody_told_of(paid: Order, alice: User) -> None:
    make_due()

    sweep_open_orders.apply()

    assert posted(alice) == 1_000_000


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        (timedelta(minutes=1), timedelta(minutes=1)),
        (timedelta(minutes=40), timedelta(minutes=10)),
        (timedelta(days=3), timedelta(hours=1)),
    ],
)
def test_the_older_an_order_the_longer_the_pause(
    order: Order, age: timedelta, pause: timedelta
) -> None:
    now = timezone.now()
    Order.objects.update(created_at=now - age, next_check_at=now)

    assert check_open_orders() == 1

    order.refresh_from_db()
    assert abs(order.next_check_at - now - pause) < timedelta(seconds=15)


def test_an_order_whose_session_was_not_created_gets_one(
    alice: User, order: Order, sandbox: Sandbox
) -> None:
    session_id = order.stripe_session_id
    Order.objects.update(stripe_session_id=None, stripe_session_url="")
    make_due()

    check_open_orders()

    assert status_of(order) == Status.OPEN
    assert order.stripe_session_id == session_id
    assert order.stripe_session_url


def test_an_order_that_never_got_a_session_expires(order: Order) -> None:
    Order.objects.update(stripe_session_id=None, expires_at=timezone.now())
    make_due()

    check_open_orders()

    assert status_of(order) == Status.EXPIRED


def test_an_order_without_a_session_is_given_up_once_stripe_would_make_none(
    order: Order,
) -> None:
    # After an outage of half an hour: a session must be payable for 30 minutes at least.
    soon = timezone.now() + timedelta(minutes=29)
    Order.objects.update(
        public_id=uuid4(), stripe_session_id=None, stripe_session_url="", expires_at=soon
    )
    make_due()

    check_open_orders()

    assert status_of(order) == Status.EXPIRED
    assert not InboxItem.objects.exists()


def test_an_order_of_a_session_that_stripe_does_not_know_expires_in_time(order: Order) -> None:
    Order.objects.update(stripe_session_id="cs_test_of_another_account")
    make_due()
    check_open_orders()
    assert status_of(order) == Status.OPEN

    Order.objects.update(expires_at=timezone.now())
    make_due()
    check_open_orders()

    assert status_of(order) == Status.EXPIRED


def test_an_order_that_is_overdue_but_open_at_stripe_stays_open(order: Order) -> None:
    Order.objects.update(expires_at=timezone.now())
    make_due()

    check_open_orders()

    assert status_of(order) == Status.OPEN


def test_it_stops_asking_while_stripe_does_not_answer(
    order: Order, bob: User, pack: Pack, settings: Settings
) -> None:
    Order.objects.create(
        team=own_team(bob),
        buyer=bob,
        pack_name="Other",
        credits=1,
        amount_cents=50,
        currency="usd",
        expires_at=order.expires_at,
    )
    make_due()
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    assert check_open_orders() == 1

    assert set(Order.objects.values_list("status", flat=True)) == {Status.OPEN}


def test_it_asks_about_a_bounded_number(order: Order, paid: Order) -> None:
    make_due()

    assert check_open_orders(most=0) == 0

    assert status_of(paid) == Status.OPEN


def test_sweeps_at_once_share_the_orders(paid: Order, alice: User) -> None:
    make_due()

    counts = race([check_open_orders] * 4, meet_at='UPDATE "billing_order"')

    assert sorted(counts) == [0, 0, 0, 1]
    assert posted(alice) == 1_000_000
