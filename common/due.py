"""Rows that wait for a sweep, which claims each when it is due; a failed row waits for longer.

Claiming a row moves the instant at which it is due. So of two sweeps one claims it, and a row whose
process dies is due again by itself.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db.models import F, Model, QuerySet
from django.utils import timezone

Row = TypeVar("Row", bound=Model)

# The column that counts the attempts of retried rows.
ATTEMPTS = "attempts"
# A pause is doubled at most this often: it then exceeds every longest pause, and can't overflow.
MOST_DOUBLINGS = 20
MOST_SPREAD = 0.1
NO_TIME = timedelta()


class DueRows(Generic[Row]):
    """The rows of a table that a sweep takes when they are due."""

    def __init__(
        self,
        open_rows: QuerySet[Row],
        *,
        lease: Callable[[Row], timedelta],
        due_column: str = "next_attempt_at",
    ) -> None:
        """Take `open_rows`, which must be filtered by their own columns: after a claim has waited
        for another, PostgreSQL checks the claimed row again, but not the rows joined to it.
        """
        self.open_rows = open_rows
        self.lease = lease
        self.due_column = due_column

    def due(self) -> QuerySet[Row]:
        """Return the rows that are due, longest due first."""
        is_due = {f"{self.due_column}__lte": timezone.now()}
        return self.open_rows.filter(**is_due).order_by(self.due_column, "pk")

    def take(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Claim these rows, each when it is asked for, and skip those that others claimed."""
        return (row for row in rows if self.claim(row))

    def claim(self, row: Row, **changes: Any) -> bool:
        """Keep a row from other sweeps until its lease ends. False if it is claimed or done."""
        as_it_was = {"pk": row.pk, self.due_column: getattr(row, self.due_column)}
        changes[self.due_column] = timezone.now() + self.lease(row)
        return self.open_rows.filter(**as_it_was).update(**changes) == 1


class RetriedRows(DueRows[Row]):
    """Due rows whose work may fail. Each failure doubles the pause before the next attempt.

    An attempt is counted when its row is claimed. Up to a tenth is added to a pause by chance, so
    that what failed together is not tried together again.
    """

    def __init__(
        self,
        open_rows: QuerySet[Row],
        *,
        lease: timedelta,
        first_pause: timedelta,
        longest_pause: timedelta,
        alarming_attempts: int,
    ) -> None:
        super().__init__(open_rows, lease=lambda row: lease)
        self.first_pause = first_pause
        self.longest_pause = longest_pause
        self.alarming_attempts = alarming_attempts

    def claim(self, row: Row, **changes: Any) -> bool:
        """Claim a row as above, and count the attempt in the table and in `row`."""
        is_mine = super().claim(row, attempts=F(ATTEMPTS) + 1, **changes)
        if is_mine:
            setattr(row, ATTEMPTS, self.attempts(row) + 1)
        return is_mine

    def postpone(self, row: Row, *, at_least: timedelta = NO_TIME, **changes: Any) -> None:
        """Make a claimed row due after its pause, with the `changes` that its failure causes.

        It waits for `at_least`, as far as the longest pause allows.
        """
        pause = max(self.pause(self.attempts(row)), min(at_least, self.longest_pause))
        spread = pause * random.uniform(0, MOST_SPREAD)  # noqa: S311 - not a secret
        changes[self.due_column] = timezone.now() + pause + spread
        self.open_rows.filter(pk=row.pk).update(**changes)

    def is_alarming(self, row: Row) -> bool:
        """Return whether a row failed so often that a person should know.

        True for every later attempt too, so that nothing is lost if the process dies before it
        files the row: filing must be safe to repeat.
        """
        return self.attempts(row) >= self.alarming_attempts

    def pause(self, attempts: int) -> timedelta:
        """Return how long to wait after this many attempts."""
        doubled: timedelta = self.first_pause * 2 ** min(attempts - 1, MOST_DOUBLINGS)
        return min(doubled, self.longest_pause)

    def attempts(self, row: Row) -> int:
        """Return how often a row was claimed, including this time."""
        count: int = getattr(row, ATTEMPTS)
        return count
