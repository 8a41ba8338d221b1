"""How beat keeps its schedule, which nobody changes while it runs."""

import time
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry


class FixedScheduler(PersistentScheduler):
    """Celery's scheduler for entries that are those of the settings as long as it runs.

    Celery's own compares all of them at each look, of which there are a dozen a second, and takes
    the time by way of time zones.
    """

    def schedules_equal(
        self, old_schedules: dict[str, Any] | None, new_schedules: dict[str, Any]
    ) -> bool:
        """Tell whether the same entries are there; what each says stays."""
        return old_schedules is not None and old_schedules.keys() == new_schedules.keys()

    def _when(self, entry: ScheduleEntry, next_time_to_run: Any, mktime: object = None) -> float:
        """Return the instant in so many seconds, as seconds since 1970."""
        return time.time() + (self.adjust(next_time_to_run) or 0.0)
