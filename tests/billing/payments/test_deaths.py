"""A process may die at any statement and around any call to Stripe; the next one ends it the same.

A death is an exception that nothing catches. What PostgreSQL had not committed is gone with it.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.models import Order, Pack, Refund
from billing.orders.checkout import start_checkout
from billing.orders.refunds import advance_refunds, refund_amount
from tests.billing.payments.film import Film, Projector, project, shoot
from tests.billing.payments.order_world import OrderWorld, put_back
from tests.billing.payments.stories import PAID, STORIES, Story
from tests.deaths import dies
from tests.stripe_sandbox import Sandbox
from tests.till import Till

BY_NAME = {story.name: story for story in STORIES}
REFUND_ID = UUID("5e0cfb1e-8f6d-4f2e-9d43-3b9f1a8a1111")
MOST_STEPS = 300


def die_everywhere(world: OrderWorld, act: Callable[[], None], end: Callable[[], None]) -> int:
    """Do something, once dying at each of its steps; compare the ends. Returns the deaths."""
    start = world.projector.at
    with put_back():
        act()
        end()
        whole = world.digest()
    for step in range(1, MOST_STEPS):
        world.projector.at = start
        with put_back():
            if not dies(act, step):
                return step - 1
            act()
            end()
            assert world.digest() == whole, f"after a death at step {step}"
    raise AssertionError("It never ends.")


@pytest.fixture(scope="module")
def projector() -> Iterator[Projector]:
    with project() as running:
        yield running


@pytest.fixture
def make_world(  # noqa: PLR0917  # pytest names them
    alice: User,
    pack: Pack,
    till: Till,
    sandbox: Sandbox,
    projector: Projector,
    settings: Settings,
) -> Callable[[Story], OrderWorld]:
    def make(story: Story) -> OrderWorld:
        film = story.shoot(sandbox, Film(start_checkout(own_seat(alice), pack_slug=pack.slug)))
        settings.STRIPE_API_BASE = projector.url
        projector.film, projector.at = film, 0
        projector.refund = None
        return OrderWorld(story, film, projector, till)

    return make


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        # A story, and the stages of which we have heard before the one in which we die.
        ("paid at once", []),
        ("refused by a bank that takes its time", []),
        ("refunded in thirds", []),
        ("refunded, and the refund failed", [1, 2]),
        ("refunded, disputed and won", [1, 3]),
        ("disputed and lost", [1]),
        ("warned of, disputed and won", [1]),
    ],
)
def test_a_death_at_any_step_of_booking_changes_nothing_in_the_end(
    name: str, heard: list[int], make_world: Callable[[Story], OrderWorld]
) -> None:
    world = make_world(BY_NAME[name])
    last = len(world.story.events)

    def hear_rest() -> None:
        letters = list(world.letters(last))
        for letter in letters if not heard else letters[-1:]:
            world.hear(letter)

    with put_back():
        for stage in heard:
            world.projector.at = stage
            for letter in world.letters(stage):
                world.hear(letter)
            world.work()
        world.projector.at = last

        deaths = die_everywhere(world, hear_rest, world.work)

    assert deaths > 5


@pytest.mark.parametrize("spent", [0, 400_000])
def test_a_death_at_any_step_of_a_refund_gives_the_money_back_once(
    spent: int, bob: User, sandbox: Sandbox, make_world: Callable[[Story], OrderWorld]
) -> None:
    world = make_world(BY_NAME["paid at once"])
    world.projector.refund = (2, shoot_refund(sandbox, world.film))

    def ask() -> None:
        order = Order.objects.get()
        refund_amount(order, amount_cents=450, actor=bob, reason="Unhappy", key=REFUND_ID)

    def send() -> None:
        # As if the lease of whoever died had run out.
        Refund.objects.update(next_attempt_at=timezone.now())
        advance_refunds()

    def check() -> None:
        refund = Refund.objects.get()
        assert (refund.status, refund.public_id) == (Refund.Status.SUCCEEDED, REFUND_ID)
        assert Order.objects.get().refunded_cents == 450

    with put_back():
        world.projector.at = 1
        world.hear(PAID)
        if spent:
            assert world.spend()

        in_asking = die_everywhere(world, ask, world.work)
        ask()
        world.work()
        in_sending = die_everywhere(world, send, check)

    assert in_asking > 10
    assert in_sending > 15


def shoot_refund(sandbox: Sandbox, film: Film) -> dict[str, Any]:
    """Record the stage after our refund, and Stripe's answer to it."""
    intent = sandbox.session(film.order.stripe_session_id).payment_intent
    refund = sandbox.client.v1.refunds.create(
        {
            "payment_intent": str(intent),
            "amount": 450,
            "metadata": {"refund_id": str(REFUND_ID), "order_id": str(film.order.public_id)},
        }
    )
    shoot(sandbox, film)
    return dict(refund.to_dict(for_json=True))
