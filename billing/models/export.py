"""Files of many rows for staff, written by a worker in parts."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Export(models.Model):
    """One list of the desk as a file, with the filters that it had when it was asked for.

    A part and the row that it ended at are written in one transaction, so that a worker that stops
    leaves off where another goes on.
    """

    class State(models.TextChoices):
        WRITING = "writing"
        READY = "ready"
        STOPPED = "stopped"
        FAILED = "failed"

    # The model whose list it is, such as billing.order.
    table = models.CharField(max_length=80)
    query = models.CharField(max_length=2_000, blank=True, verbose_name="filters")
    # Who reads it needs all of these.
    rights = models.JSONField(default=list, editable=False)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.WRITING)
    problem = models.CharField(max_length=200, blank=True)
    # The newest row that it may have, the oldest that there was, and the last that was written.
    first_id = models.BigIntegerField(default=0, editable=False)
    last_id = models.BigIntegerField(default=0, editable=False)
    reached_id = models.BigIntegerField(default=0, editable=False)
    rows_written = models.BigIntegerField(default=0)
    kept_bytes = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="writing"), name="exports_to_write"),
        ]

    def __str__(self) -> str:
        return f"Export {self.pk} of {self.table}"

    @property
    def percent(self) -> int:
        """Return how much of the table was looked through, by ids."""
        if self.state == self.State.READY:
            return 100
        whole = self.first_id - self.last_id + 1
        return 99 * (self.first_id + 1 - self.reached_id) // whole if whole > 0 else 0


class ExportPart(models.Model):
    """Some lines of an export, compressed."""

    export = models.ForeignKey(Export, models.CASCADE, db_index=False, related_name="parts")
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export", "number"], name="export_part_is_one_row"),
        ]

    def __str__(self) -> str:
        return f"Part {self.number} of export {self.export_id}"
