"""Who is mailed of incidents, and what is still to be told to them."""

import uuid
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

# How long the link that confirms works; then what was never confirmed goes.
LINK_LIFETIME = timedelta(days=3)


class StatusSubscription(models.Model):
    """An address that is mailed of incidents, whether its owner has an account or not.

    It is mailed only once its owner has followed the link that went to it.
    """

    # What links name: random, so that none leads to somebody else's after a backup was restored.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    address = models.EmailField(unique=True)
    language = models.CharField(max_length=10)
    model_names = ArrayField(
        models.CharField(max_length=120),
        default=list,
        blank=True,
        verbose_name="models",
        help_text="Empty: all models. What concerns the whole service is always told.",
    )
    asked_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["address"]
        indexes = [
            # The sweep deletes those whose link has ended.
            models.Index(
                fields=["asked_at"],
                condition=models.Q(confirmed_at=None),
                name="subscriptions_unconfirmed",
            ),
        ]

    def __str__(self) -> str:
        return f"Subscription {self.pk}"


class StatusNews(models.Model):
    """What staff said of an incident, until a mail to each subscriber is written down.

    Written with what it tells, in one transaction. A sweep goes through the subscribers in the
    order of their ids, and keeps here how far it came.
    """

    facts = models.JSONField()
    # Empty: the whole service.
    model_names = ArrayField(models.CharField(max_length=120), default=list)
    said_at = models.DateTimeField(default=timezone.now)
    reached_id = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "status news"

    def __str__(self) -> str:
        return f"News {self.pk}"
