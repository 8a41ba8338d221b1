"""Jobs that are done once a day, at their time or as soon after it as a worker can.

PostgreSQL knows which of them is due. A sweep asks every few minutes, so neither a lost message
nor a worker that dies at it, nor a day without workers, leaves one out.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import wraps

from django.utils import timezone

from billing.models import DailyJob
from common.due import RetriedRows

DAY = timedelta(days=1)
# What does one day of a job, or all days since the one it is given. Returns how much it did.
Job = Callable[[date], int]

JOBS = RetriedRows(
    DailyJob.objects.all(),
    # A job ends within its task's hour, or its worker does.
    lease=timedelta(minutes=65),
    first_pause=timedelta(minutes=5),
    longest_pause=timedelta(hours=1),
    alarming_attempts=10,
)


def daily(*, at: time) -> Callable[[Job], Callable[[], int | None]]:
    """Make a job a sweep that does it once a day, from `at` (UTC) on; None when it is not due.

    The job is given the first day on which it was not done. It may be done twice, if its worker
    dies at the end.
    """

    def decorate(job: Job) -> Callable[[], int | None]:
        @wraps(job)
        def sweep() -> int | None:
            row = _take(job.__name__, at)
            return None if row is None else _do(job, row, at)

        return sweep

    return decorate


def _take(name: str, at: time) -> DailyJob | None:
    """Claim a job if it is due. One that nobody has heard of is due at its next time."""
    first = _next_time(at)
    row, _ = DailyJob.objects.get_or_create(
        name=name, defaults={"due_at": first, "next_attempt_at": first}
    )
    return row if row.next_attempt_at <= timezone.now() and JOBS.claim(row) else None


def _do(job: Job, row: DailyJob, at: time) -> int:
    began_at = timezone.now()
    try:
        done = job(row.due_at.astimezone(UTC).date())
    except Exception:
        JOBS.postpone(row)
        raise
    following = _next_time(at, after=began_at)
    DailyJob.objects.filter(pk=row.pk).update(
        due_at=following, next_attempt_at=following, attempts=0
    )
    return done


def _next_time(at: time, *, after: datetime | None = None) -> datetime:
    now = (after or timezone.now()).astimezone(UTC)
    today = datetime.combine(now.date(), at, UTC)
    return today if today > now else today + DAY


def read_overdue() -> dict[str, float]:
    """Return for how many seconds each job has been due and is not done."""
    now = timezone.now()
    return {
        name: max((now - due_at).total_seconds(), 0)
        for name, due_at in DailyJob.objects.order_by("pk").values_list("name", "due_at")
    }
