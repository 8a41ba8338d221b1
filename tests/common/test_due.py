"""Rows that are due, by the example of Stripe's events."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from billing.models import StripeEvent
from common.due import DueRows, RetriedRows
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
EVENTS = RetriedRows(
    StripeEvent.objects.filter(processed_at=None),
    lease=10 * MINUTE,
    first_pause=MINUTE,
    longest_pause=60 * MINUTE,
    alarming_attempts=3,
)


def make(name: str, *, due_in: timedelta = timedelta()) -> StripeEvent:
    return StripeEvent.objects.create(
        event_id=name, payload={}, next_attempt_at=timezone.now() + due_in
    )


def wait_of(event: StripeEvent) -> timedelta:
    """How long a row is not due yet."""
    event.refresh_from_db()
    return event.next_attempt_at - timezone.now()


def test_what_waited_longest_is_taken_first_and_what_is_not_due_or_done_is_not() -> None:
    make("second", due_in=-MINUTE)
    make("first", due_in=-2 * MINUTE)
    make("later", due_in=MINUTE)
    StripeEvent.objects.filter(pk=make("done").pk).update(processed_at=timezone.now())

    taken = list(EVENTS.take(EVENTS.due()))

    assert [event.event_id for event in taken] == ["first", "second"]
    assert not EVENTS.due().exists()


def test_each_row_is_claimed_when_its_turn_comes() -> None:
    make("first", due_in=-MINUTE)
    make("second")

    next(EVENTS.take(EVENTS.due()))

    assert EVENTS.due().get().event_id == "second"


def test_one_of_those_who_claim_a_row_at_once_gets_it() -> None:
    event = make("wanted")
    copies = [StripeEvent.objects.get(pk=event.pk) for _ in range(4)]

    won = race(
        [partial(EVENTS.claim, copy) for copy in copies],
        meet_at='UPDATE "billing_stripeevent"',
    )

    assert sorted(won) == [False, False, False, True]
    event.refresh_from_db()
    assert event.attempts == 1
    assert sorted(copy.attempts for copy in copies) == [0, 0, 0, 1]


def test_a_row_that_is_done_meanwhile_is_not_claimed() -> None:
    event = make("done")
    StripeEvent.objects.update(processed_at=timezone.now())

    assert not EVENTS.claim(event)

    event.refresh_from_db()
    assert event.attempts == 0


def test_a_row_whose_claimer_died_is_due_again_when_its_lease_ends() -> None:
    event = make("orphan")

    assert EVENTS.claim(event)

    assert 9 * MINUTE < wait_of(event) <= 10 * MINUTE
    assert not EVENTS.due().exists()
    StripeEvent.objects.update(next_attempt_at=timezone.now())
    assert EVENTS.claim(EVENTS.due().get())
    event.refresh_from_db()
    assert event.attempts == 2


def test_each_failure_doubles_the_pause_up_to_the_longest() -> None:
    event = make("failing")

    waits = list(fail(event, times=8))

    pauses = [minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 32, 60, 60)]
    for wait, pause in zip(waits, pauses, strict=True):
        assert 0.9 * pause < wait <= 1.1 * pause


def test_what_failed_together_is_due_again_one_after_the_other() -> None:
    events = [make(f"failing {number}") for number in range(10)]

    for event in events:
        EVENTS.claim(event)
        EVENTS.postpone(event, at_least=60 * MINUTE)

    waits = [wait_of(event) for event in events]
    assert max(waits) - min(waits) > MINUTE / 10


@pytest.mark.parametrize(("asked", "minutes"), [(0.5, 1), (15, 15), (1_440, 60)])
def test_a_row_waits_for_as_long_as_it_is_asked_to_up_to_the_longest_pause(
    asked: float, minutes: int
) -> None:
    event = make("asked to wait")
    EVENTS.claim(event)

    EVENTS.postpone(event, at_least=asked * MINUTE)

    assert 0.9 * minutes * MINUTE < wait_of(event) <= 1.1 * minutes * MINUTE


@pytest.mark.parametrize("attempts", [21, 1_000, 2**31 - 1])
def test_no_number_of_attempts_is_too_much_for_a_pause(attempts: int) -> None:
    assert EVENTS.pause(attempts) == 60 * MINUTE


def test_a_failure_is_noted_in_the_row() -> None:
    event = make("failing")
    EVENTS.claim(event)

    EVENTS.postpone(event, error="No answer")

    event.refresh_from_db()
    assert (event.error, event.attempts) == ("No answer", 1)


def test_a_failure_that_comes_after_anothers_success_changes_nothing() -> None:
    event = make("slow")
    EVENTS.claim(event)
    StripeEvent.objects.update(processed_at=timezone.now())

    EVENTS.postpone(event, error="Too late")

    event.refresh_from_db()
    assert event.error == ""


def test_it_alarms_from_the_given_attempt_on() -> None:
    event = make("failing")

    alarms = [EVENTS.is_alarming(event) for _ in fail(event, times=4)]

    assert alarms == [False, False, True, True]


def test_a_lease_may_follow_from_the_row_and_another_column_tell_what_is_due() -> None:
    rows = DueRows(
        StripeEvent.objects.all(),
        lease=lambda event: len(event.event_id) * MINUTE,
        due_column="received_at",
    )
    make("four")
    make("seven")

    assert len(list(rows.take(rows.due()))) == 2

    waits = StripeEvent.objects.order_by("pk").values_list("received_at", flat=True)
    assert [round((at - timezone.now()) / MINUTE) for at in waits] == [4, 5]


def fail(event: StripeEvent, *, times: int) -> Iterator[timedelta]:
    """Claim and postpone a row again and again; yield how long it then waits."""
    for _ in range(times):
        StripeEvent.objects.update(next_attempt_at=timezone.now())
        event.refresh_from_db()
        assert EVENTS.claim(event)
        EVENTS.postpone(event)
        yield wait_of(event)
