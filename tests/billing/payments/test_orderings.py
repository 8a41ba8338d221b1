"""In whatever order an order's events arrive, often or never, it ends the same."""

import random
from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.models import Pack, StripeEvent
from billing.orders.checkout import start_checkout
from billing.stripe_inbox.events import process_due_events, receive_event
from tests.billing.payments.explorer import Explorer, count_sequences
from tests.billing.payments.film import Film, Projector, project
from tests.billing.payments.order_world import OrderWorld, put_back
from tests.billing.payments.stories import STORIES, Story
from tests.stripe_sandbox import Sandbox, event_body, sign
from tests.till import Till

SAMPLES = 2


@pytest.fixture(scope="module")
def projector() -> Iterator[Projector]:
    with project() as running:
        yield running


@pytest.fixture(params=STORIES, ids=lambda story: story.name.replace(" ", "-").replace(",", ""))
def world(  # noqa: PLR0917  # pytest names them
    request: pytest.FixtureRequest,
    alice: User,
    pack: Pack,
    till: Till,
    sandbox: Sandbox,
    projector: Projector,
    settings: Settings,
) -> OrderWorld:
    """Alice's order, whose life at Stripe is recorded; we have heard of nothing."""
    story: Story = request.param
    film = story.shoot(sandbox, Film(start_checkout(own_seat(alice), pack_slug=pack.slug)))
    settings.STRIPE_API_BASE = projector.url
    projector.film, projector.at = film, 0
    return OrderWorld(story, film, projector, till)


def test_every_order_of_events_ends_the_same(world: OrderWorld) -> None:
    explorer = Explorer(world)

    with put_back():
        explorer.explore()

    print(world.story.name, len(explorer.seen), explorer.steps, explorer.ends)
    assert explorer.ends > 0
    assert explorer.steps > len(explorer.seen)


def test_random_sequences_through_the_inbox_end_the_same(world: OrderWorld) -> None:
    """Without the explorer's short cuts: stored, seen twice, claimed and processed."""
    for seed in range(SAMPLES):
        with put_back():
            deliver_at_random(world, random.Random(f"{world.story.name}:{seed}"))
            world.projector.at = len(world.story.events)
            world.catch_up()
            world.check_end()


def test_the_stories_stand_for_more_than_five_thousand_sequences() -> None:
    assert sum(count_sequences(story) for story in STORIES) > 5_000


def deliver_at_random(world: OrderWorld, chance: random.Random) -> None:
    """Send each event up to twice, at some time after its cause."""
    posts = [
        (chance.uniform(stage, len(world.story.events) + 1), stage, kind, number)
        for stage, kinds in enumerate(world.story.events, start=1)
        for number, kind in enumerate(kinds)
        for _ in range(chance.randrange(3))
    ]
    for at, stage, kind, number in sorted(posts):
        world.projector.at = min(int(at), len(world.story.events))
        post(world, kind, f"evt_{stage}_{number}")
        if chance.random() < 0.5:
            process(world)
    process(world)


def post(world: OrderWorld, kind: str, event_id: str) -> None:
    event = world.event(kind)
    subject = event.payload["data"]["object"]
    body = event_body(kind, event_id=event_id, **subject)
    receive_event(body, sign(body))


def process(world: OrderWorld) -> None:
    StripeEvent.objects.filter(processed_at=None).update(next_attempt_at=timezone.now())
    process_due_events()
    failed = StripeEvent.objects.exclude(error="").values_list("error", flat=True)
    assert list(failed) == []
