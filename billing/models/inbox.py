"""The inbox: what a person at the desk has to look at."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class InboxItem(models.Model):
    """A finding that nothing repairs by itself: impossible usage, a payment that doesn't match."""

    kind = models.CharField(max_length=40)
    reference = models.CharField(max_length=120)
    summary = models.CharField(max_length=300)
    detail = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    # When staff were mailed about it, if it is urgent.
    mailed_at = models.DateTimeField(null=True)
    # When INBOX_WEBHOOK_URL took it; how often it was tried, and when it is next.
    posted_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now, db_default=Now())
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    resolution = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["resolved_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="inbox_item_is_filed_once"),
            models.CheckConstraint(
                condition=Q(resolved_at=None, resolution="")
                | Q(resolved_at__isnull=False) & ~Q(resolution=""),
                name="inbox_item_is_resolved_with_a_word",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.summary}"
