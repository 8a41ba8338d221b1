"""What requests cost beyond their charge: counted once by key and hour, and told to staff once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections, transaction

from accounts.models import User
from billing.ledger.bookings import book
from billing.ledger.inbox import resolve_item
from billing.models import InboxItem, KeyWriteOff
from billing.wallet import keys
from billing.wallet.commands import placing
from billing.wallet.commands.ending import settle
from billing.wallet.events import Event, read_event
from tests.till import NO_LIMIT, Till

pytestmark = pytest.mark.django_db(transaction=True)

HOUR_MS = 3_600_000
# Half past a full hour.
NOON_MS = 1_772_323_200_000 + HOUR_MS // 2


@pytest.fixture(autouse=True)
def threshold(settings: Any) -> None:
    settings.WRITE_OFF_ALARM_CREDITS = 100


def serve(
    till: Till, name: str, *, held: int, target: int, at_ms: int = NOON_MS, **ending: Any
) -> None:
    """Serve a request of which the balance pays the hold alone."""
    till.grant(held)
    hold = till.hold_request(name, held)
    facts = replace(hold.facts, started_at_ms=at_ms)
    till.client.ask(placing.place(replace(hold, facts=facts), lease_ms=60_000, limit=NO_LIMIT))
    till.client.ask(settle(facts, replace(till.settlement(target), **ending)))


def counted(till: Till) -> dict[str, int]:
    rows = KeyWriteOff.objects.filter(api_key=till.key)
    return {f"{row.hour:%H:%M}": row.credits for row in rows}


def filed() -> list[str]:
    return list(InboxItem.objects.order_by("pk").values_list("reference", flat=True))


def waiting(till: Till) -> list[Event]:
    return [read_event(*item) for item in till.client.redis.xrange(keys.events(till.shard))]


def book_all(events: list[Event]) -> None:
    with transaction.atomic():
        book(events)


def test_it_counts_by_key_and_hour(till: Till) -> None:
    other = till.with_another_key()
    serve(till, "r1", held=10, target=40)
    serve(till, "r2", held=10, target=15)
    serve(till, "r3", held=10, target=12, at_ms=NOON_MS + HOUR_MS)
    serve(till, "r4", held=10, target=10)
    serve(other, "r5", held=10, target=17)
    till.drain()

    assert counted(till) == {"00:00": 30 + 5, "01:00": 2}
    assert counted(other) == {"00:00": 7}
    assert filed() == []


def test_it_tells_staff_once_of_a_key_that_costs_more_than_it_pays(till: Till) -> None:
    for number in range(5):
        serve(till, f"r{number}", held=10, target=60)
        till.drain()

    item = InboxItem.objects.get()
    assert (item.kind, item.reference) == ("key_write_offs", f"{till.key.pk}:2026-03-01T00")
    assert item.detail == {
        "api_key": till.key.pk,
        "team": till.wallet.team_id,
        "user": till.user.pk,
        "hour": "2026-03-01T00:00:00+00:00",
        "lost_credits": 100,
    }
    assert counted(till) == {"00:00": 5 * 50}


def test_a_batch_that_is_booked_again_counts_and_tells_nothing_more(till: Till) -> None:
    serve(till, "r1", held=10, target=160)
    events = waiting(till)

    for _ in range(3):
        book_all(events)
    till.drain()

    assert counted(till) == {"00:00": 150}
    assert len(filed()) == 1


def test_workers_that_book_at_once_count_once_and_tell_once(till: Till) -> None:
    for number in range(6):
        serve(till, f"r{number}", held=10, target=60)
    batches = [[event] for event in waiting(till)] * 2

    def run(events: list[Event]) -> None:
        try:
            book_all(events)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, batches))

    assert counted(till) == {"00:00": 6 * 50}
    assert len(filed()) == 1


def test_a_transaction_that_is_undone_leaves_neither_count_nor_alarm(till: Till) -> None:
    serve(till, "r1", held=10, target=160)

    with transaction.atomic():
        book(waiting(till))
        transaction.set_rollback(True)

    assert (counted(till), filed()) == ({}, [])


def test_a_receipt_that_is_raised_counts_what_it_adds(till: Till) -> None:
    serve(till, "r1", held=10, target=30)
    till.drain()
    till.settle("r1", 90)
    till.drain()
    till.grant(50)
    till.settle("r1", 100)
    till.drain()

    record = till.receipt("r1")
    assert counted(till) == {"00:00": record.write_off_credits} == {"00:00": 40}


def test_the_next_hour_is_told_once_the_first_is_resolved(till: Till, alice: User) -> None:
    serve(till, "r1", held=10, target=160)
    till.drain()
    serve(till, "r2", held=10, target=160, at_ms=NOON_MS + HOUR_MS)
    till.drain()
    before = filed()
    resolve_item(InboxItem.objects.get(), actor=alice, resolution="a ratio was too low")

    serve(till, "r3", held=10, target=160, at_ms=NOON_MS + 2 * HOUR_MS)
    till.drain()

    assert before == [f"{till.key.pk}:2026-03-01T00"]
    assert filed() == [*before, f"{till.key.pk}:2026-03-01T02"]


def test_usage_beyond_the_hold_that_is_not_asked_for_counts_too(till: Till) -> None:
    # What a client that left had used, of which the hold alone is charged.
    serve(till, "r1", held=10, target=10, outcome="client_left", completion_tokens=140)
    # Within the hold; and a parked request, of which nobody knows what it cost.
    serve(till, "r2", held=10, target=9, outcome="client_left")
    serve(till, "r3", held=10, target=10, source="parked", completion_tokens=999)
    till.drain()

    assert counted(till) == {"00:00": 130}
    assert [item.kind for item in InboxItem.objects.order_by("kind")] == [
        "key_write_offs",
        "usage_parked",
    ]
