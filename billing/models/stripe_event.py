"""The inbox of Stripe's webhook: an event is received once, and processed until that succeeds."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class StripeEvent(models.Model):
    """An event that arrived. A handler acts on the object's present state, not the payload's.

    `payload` has what handlers read, and nothing else of what Stripe sent.
    """

    event_id = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=80)
    object_id = models.CharField(max_length=120, blank=True)
    payload = models.JSONField()
    received_at = models.DateTimeField(default=timezone.now)
    processed_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "Stripe event"
        ordering = ["-pk"]
        indexes = [
            # Pruning takes those that were received too long ago.
            models.Index(fields=["received_at"], name="stripe_events_by_age"),
            # The sweep takes events that are due and not processed.
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(processed_at=None),
                name="stripe_events_to_process",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"
