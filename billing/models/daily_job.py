"""When each job of once a day is due."""

from django.db import models


class DailyJob(models.Model):
    """A job that is done once a day, and the first time of its clock at which it was not done."""

    name = models.CharField(max_length=60, primary_key=True)
    due_at = models.DateTimeField()
    # That time, or later: somebody is doing it, or it failed.
    next_attempt_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(next_attempt_at__gte=models.F("due_at")),
                name="daily_job_is_tried_once_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}, due {self.due_at}"
