"""The table of how an order stands: every order has its row, and every row its places."""

from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import User
from accounts.teams.members import own_team
from billing.models import Order, Refund
from billing.orders.standing import STANDINGS, TOP_UP_STANDINGS, standing_of


def order_of(
    user: User, status: str, *, channel: str = "checkout", hours: int = 1, **sums: int
) -> Order:
    return Order(
        team=own_team(user),
        buyer=user,
        pack_name="Starter",
        credits=1_000_000,
        amount_cents=900,
        currency="usd",
        status=status,
        channel=channel,
        expires_at=timezone.now() + timedelta(hours=hours),
        **sums,
    )


def read(order: Order, **more: object) -> str:
    """Return the words about an order, with its badge."""
    context = {"order": order, "now": timezone.now(), **more}
    names = ("dashboard/_order_badge.html", "dashboard/_order_words.html")
    return " ".join("".join(render_to_string(name, context) for name in names).split())


@pytest.mark.parametrize("channel", Order.Channel)
@pytest.mark.parametrize("status", Order.Status)
def test_every_order_has_a_badge_and_words(alice: User, status: str, channel: str) -> None:
    order = order_of(alice, status, channel=channel)

    page = read(order)

    row = standing_of(order, now=timezone.now())
    assert f">{row.badge}</span>" in page
    assert row.words.partition("{")[0].partition("'")[0] in page
    assert "{" not in page


def test_a_paid_order_says_all_that_became_of_it(alice: User) -> None:
    order = order_of(
        alice, "fulfilled", refunded_cents=300, disputed_cents=200, clawed_back_credits=500_000
    )

    page = read(order, disputes=[1], refunds=[Refund(status=Refund.Status.FAILED)])

    assert "Later $3.00 of the payment went back" in page
    assert "Your bank disputes $2.00" in page
    assert "500,000 of the credits were taken back" in page
    assert "Your bank did not take the refund" in page


def test_an_order_that_nobody_paid_in_time_has_expired_whoever_noted_it(alice: User) -> None:
    noted = read(order_of(alice, "expired", hours=-1))
    not_yet = read(order_of(alice, "open", hours=-1))

    assert "wasn't paid in time" in not_yet.replace("&#x27;", "'")
    assert noted.partition("<form")[0] == not_yet.partition("<form")[0]


def test_the_table_knows_every_status() -> None:
    assert STANDINGS.keys() == set(Order.Status)
    assert TOP_UP_STANDINGS.keys() <= set(Order.Status)
