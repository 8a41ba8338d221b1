"""A job of once a day is due until it is done."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine

from billing.upkeep.daily import daily, read_overdue
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

# The job is heard of for the first time.
NEW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FOUR = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Killed(BaseException):
    """What no code of ours sees of a worker that is killed."""


class Job:
    """A job at four o'clock that notes when it is done, and for which first day."""

    def __init__(self) -> None:
        self.done: list[tuple[datetime, date]] = []
        self.error: BaseException | None = None
        self.sweep: Callable[[], int | None] = daily(at=time(4, 0))(self.count_beans)
        self.ask(NEW)

    def count_beans(self, first: date) -> int:
        if self.error:
            raise self.error
        self.done.append((datetime.now(UTC), first))
        return 7

    def ask(self, at: datetime) -> int | None:
        with time_machine.travel(at, tick=False):
            return self.sweep()


@pytest.fixture
def job() -> Job:
    return Job()


def test_it_is_done_once_a_day(job: Job) -> None:
    asked = [FOUR - MINUTE, FOUR + MINUTE, FOUR + 2 * MINUTE, FOUR + DAY]

    results = [job.ask(at) for at in asked]

    assert results == [None, 7, None, 7]
    assert job.done == [
        (FOUR + MINUTE, date(2026, 3, 2)),
        (FOUR + DAY, date(2026, 3, 3)),
    ]


def test_after_days_without_a_worker_it_is_done_once_for_all_of_them(job: Job) -> None:
    results = [job.ask(FOUR + 3 * DAY + HOUR), job.ask(FOUR + 3 * DAY + 2 * HOUR)]

    assert results == [7, None]
    assert job.done == [(FOUR + 3 * DAY + HOUR, date(2026, 3, 2))]
    # The next day has its own again.
    assert job.ask(FOUR + 4 * DAY) == 7


def test_of_two_workers_that_ask_one_does_it(job: Job) -> None:
    with time_machine.travel(FOUR, tick=False):
        results = race([job.sweep] * 2, meet_at='UPDATE "billing_dailyjob"')

    assert sorted(results, key=str) == [7, None]
    assert len(job.done) == 1


def test_one_that_fails_is_tried_again_with_pauses(job: Job) -> None:
    job.error = RuntimeError("Stripe is away")
    for at in (FOUR, FOUR + 6 * MINUTE):
        with pytest.raises(RuntimeError, match="away"):
            job.ask(at)

    job.error = None
    results = [job.ask(FOUR + 15 * MINUTE), job.ask(FOUR + 18 * MINUTE)]

    # Five minutes, then ten, and up to a tenth more of each.
    assert results == [None, 7]
    assert job.done == [(FOUR + 18 * MINUTE, date(2026, 3, 2))]


def test_one_whose_worker_dies_is_done_by_another(job: Job) -> None:
    job.error = Killed()
    with pytest.raises(Killed):
        job.ask(FOUR)

    job.error = None
    results = [job.ask(FOUR + HOUR), job.ask(FOUR + 2 * HOUR)]

    assert results == [None, 7]


def test_it_tells_how_long_one_is_overdue(job: Job) -> None:
    job.error = RuntimeError("Stripe is away")
    with pytest.raises(RuntimeError):
        job.ask(FOUR)

    with time_machine.travel(FOUR + 3 * HOUR, tick=False):
        late = read_overdue()
    job.error = None
    job.ask(FOUR + 3 * HOUR)
    with time_machine.travel(FOUR + 3 * HOUR, tick=False):
        done = read_overdue()

    assert (late, done) == ({"count_beans": 10_800}, {"count_beans": 0})
