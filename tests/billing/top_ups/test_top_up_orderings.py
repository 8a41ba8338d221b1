"""Whatever is heard of a top-up, in whatever order, often or never, it ends the same.

And a process may die at any statement and around any call to Stripe: the next one charges nothing
twice, and credits what was charged.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_team
from billing.models import AutoTopUp, Notice, Order, StripeEvent
from billing.orders.top_up_orders import top_up_due
from billing.stripe_inbox.events import process_due_events
from billing.stripe_inbox.handlers import HANDLERS
from billing.stripe_inbox.missed_events import fetch_missed_events
from billing.stripe_inbox.open_orders import check_open_orders
from billing.top_ups.agreement import get_top_up
from tests.billing.payments.conftest import posted
from tests.billing.top_ups.conftest import (
    ASKS_ALWAYS,
    DECLINED_LATER,
    SaveCard,
    intents,
    orders_of,
    succeeded,
)
from tests.deaths import dies
from tests.stripe_sandbox import Sandbox

SEQUENCES = 6
MOST_STEPS = 200
EVENTS = [kind for kind in HANDLERS if kind.startswith("payment_intent.")]


@dataclass(frozen=True)
class Story:
    """How a card or bank behaves, and what must come of it."""

    name: str
    turns: str = ""
    method: str = "card"
    end: str = ""
    status: str = "fulfilled"
    told: str = "top_up_succeeded"

    @property
    def is_paid(self) -> bool:
        return self.status in {"fulfilled", "review"}

    @property
    def is_credited(self) -> bool:
        return self.status == "fulfilled"


STORIES = [
    Story("paid"),
    Story("declined", turns=DECLINED_LATER, status="failed", told="top_up_declined"),
    Story("wants its customer", turns=ASKS_ALWAYS, status="failed", told="top_up_action"),
    Story("slow and paid", method="bank", end="succeed"),
    Story("slow and refused", method="bank", end="fail", status="failed", told="top_up_declined"),
    Story("differs", status="review", told="top_up_off"),
]


@dataclass
class World:
    """One top-up at Stripe, and all the ways to hear of it."""

    story: Story
    sandbox: Sandbox
    top_up: AutoTopUp
    user: User
    is_over: bool = False

    def sweep(self) -> None:
        Order.objects.update(next_check_at=timezone.now())
        check_open_orders()

    def hear(self, kind: str) -> None:
        """Process an event of a kind about each of the customer's payments, if Stripe knows any."""
        for intent_id in intents(self.sandbox, self.top_up):
            metadata = {"channel": "top_up"}
            subject = {"id": intent_id, "metadata": metadata}
            HANDLERS[kind](
                StripeEvent(kind=kind, object_id=intent_id, payload={"data": {"object": subject}})
            )

    def end_at_bank(self) -> None:
        """The bank decides, once there is something to decide."""
        waiting = self.sandbox.client.v1.payment_intents.list(
            {"customer": self.top_up.stripe_customer_id}
        )
        for intent in waiting.data:
            if intent.status == "processing":
                self.sandbox.control(f"payment_intents/{intent.id}/{self.story.end}")

    def catch_up(self) -> None:
        """Do what ends everything, whatever was lost."""
        self.sweep()
        if self.story.end:
            self.end_at_bank()
        self.sweep()
        # Once more, with the balance as it ended.
        top_up_due()

    def check_end(self) -> None:
        paid = len(succeeded(self.sandbox, self.top_up))
        assert paid == int(self.story.is_paid)
        assert posted(self.user) == 1_000_000 * int(self.story.is_credited)
        assert orders_of(self.user) == [self.story.status]
        assert get_top_up(own_team(self.user)).is_on is self.story.is_credited
        assert Notice.objects.filter(user=self.user, kind=self.story.told).count() == 1


@pytest.fixture(params=STORIES, ids=lambda story: story.name.replace(" ", "-"))
def story(request: pytest.FixtureRequest) -> Story:
    found: Story = request.param
    return found


def sweep_once() -> None:
    top_up_due()


@pytest.fixture
def make_world(
    story: Story, sandbox: Sandbox, attach_card: SaveCard, settings: Settings
) -> Callable[[str], World]:
    """Make a customer of their own for each telling of the story."""
    # Payments in test mode are not what a live site has ordered.
    settings.STRIPE_LIVE_MODE = story.status == "review"

    def make(name: str) -> World:
        user = User.objects.create_user(f"{name}@example.com", "correct horse battery")
        found = attach_card(user, turns=story.turns, method=story.method)
        return World(story, sandbox, found, user)

    return make


def test_every_order_of_hearing_ends_the_same(
    make_world: Callable[[str], World], story: Story
) -> None:
    for seed in range(SEQUENCES):
        chance = random.Random(f"{story.name}:{seed}")
        world = make_world(f"alice{seed}")
        acts: list[Callable[[], object]] = [top_up_due, world.sweep]
        acts += [partial(world.hear, kind) for kind in EVENTS]
        acts += [world.end_at_bank] if story.end else []
        # The order must be made first; which of the ways to hear of it come next is chance.
        is_heard_directly = chance.random() < 0.5
        if is_heard_directly:
            top_up_due()
        else:
            dies(sweep_once, chance.randrange(20, 40))
        for act in chance.choices(acts, k=chance.randrange(1, 5)):
            act()

        top_up_due()
        world.catch_up()

        world.check_end()


# The others differ from these only in what is booked at the end.
@pytest.mark.parametrize(
    "story",
    [STORIES[0], STORIES[1], STORIES[4], STORIES[5]],
    ids=["paid", "declined", "slow", "differs"],
    indirect=True,
)
def test_a_death_at_any_step_charges_and_credits_once(
    make_world: Callable[[str], World], story: Story
) -> None:
    for step in range(1, MOST_STEPS):
        world = make_world(f"alice{step}")
        is_dead = dies(sweep_once, step)

        top_up_due()
        world.catch_up()

        world.check_end()
        if not is_dead:
            break
        # So that the next customer's sweep has nothing else to do.
        AutoTopUp.objects.filter(pk=world.top_up.pk).update(state=AutoTopUp.State.OFF)
    assert step > 20


def test_what_the_webhook_did_not_bring_is_fetched(
    alice: User, top_up: AutoTopUp, sandbox: Sandbox, lost_answer: pytest.MonkeyPatch
) -> None:
    top_up_due()
    lost_answer.undo()

    fetch_missed_events()
    # Those of other tests, in the same account at Stripe, are about orders that are gone.
    StripeEvent.objects.exclude(object_id__in=intents(sandbox, top_up)).delete()
    process_due_events()

    assert posted(alice) == 1_000_000
