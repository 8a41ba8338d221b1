"""One order of a pack, with a snapshot of what was ordered."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.models.catalogue import Pack


class Purchase(models.Model):
    """An order. The pack may be edited or deleted afterwards; the snapshot is what was agreed.

    `clawed_back_credits` is a max-register towards
    `min(credits, floor(credits × (refunded + disputed) / paid))`.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        FULFILLED = "fulfilled"
        FAILED = "failed"
        EXPIRED = "expired"
        # Paid, but what Stripe says differs from the snapshot: a person decides.
        REVIEW = "review"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="purchases")
    pack = models.ForeignKey(Pack, models.SET_NULL, null=True, related_name="purchases")
    pack_name = models.CharField(max_length=60)
    credits = models.BigIntegerField()
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    validity_days = models.PositiveIntegerField(null=True)

    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    review_reason = models.CharField(max_length=200, blank=True)
    stripe_session_id = models.CharField(max_length=120, unique=True, null=True)
    stripe_session_url = models.URLField(max_length=2_000, blank=True)
    stripe_payment_intent_id = models.CharField(max_length=120, blank=True)
    receipt_url = models.URLField(max_length=2_000, blank=True)
    refunded_cents = models.PositiveIntegerField(default=0)
    disputed_cents = models.PositiveIntegerField(default=0)
    clawed_back_credits = models.BigIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    fulfilled_at = models.DateTimeField(null=True)
    # When the sweep asks Stripe about an open order next.
    next_check_at = models.DateTimeField(default=timezone.now)
    # Set when the return page showed the customer's first key, which it does once.
    key_shown_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(credits__gt=0), name="purchase_has_credits"),
            models.CheckConstraint(
                condition=Q(amount_cents__gt=0), name="purchase_costs_something"
            ),
            models.CheckConstraint(
                condition=Q(clawed_back_credits__gte=0, clawed_back_credits__lte=F("credits")),
                name="purchase_gives_back_at_most_its_credits",
            ),
            models.CheckConstraint(
                condition=Q(status="fulfilled", fulfilled_at__isnull=False)
                | ~Q(status="fulfilled") & Q(fulfilled_at=None),
                name="purchase_is_fulfilled_at_an_instant",
            ),
        ]
        indexes = [
            # The sweep looks at open orders that are due.
            models.Index(
                fields=["next_check_at"], condition=Q(status="open"), name="purchases_to_check"
            ),
            models.Index(fields=["user", "-id"], name="purchases_of_a_user"),
        ]

    def __str__(self) -> str:
        return f"{self.pack_name} for {self.user} ({self.status})"
