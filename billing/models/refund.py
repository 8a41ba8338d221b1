"""A refund that we ask of Stripe."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.order import Order


class Refund(models.Model):
    """A refund that we ask of Stripe. The credits are taken first, so that nobody spends them.

    Its `public_id` is the idempotency key, and is in the refund's metadata at Stripe so that the
    refund is found after a lost answer. Refunds made in Stripe's dashboard have no row here.
    """

    class Status(models.TextChoices):
        # Not confirmed by Stripe: the credits are being taken, or the answer was lost.
        OPEN = "open"
        PENDING = "pending", "on its way"
        SUCCEEDED = "succeeded"
        # Stripe or we refused it; the credits are back.
        REFUSED = "refused"
        # Stripe accepted it and could not deliver it; the credits are back.
        FAILED = "failed"

    class Reason(models.TextChoices):
        REQUESTED = "requested_by_customer", "requested by the customer"
        DUPLICATE = "duplicate"
        FRAUDULENT = "fraudulent"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="refunds")
    amount_cents = models.PositiveIntegerField()
    # A refund of an unused part must leave no debt: it is refused if the credits were spent.
    is_unused_part = models.BooleanField(default=False)
    debit = models.OneToOneField("billing.Debit", models.PROTECT, null=True, related_name="refund")
    kind = models.CharField(max_length=24, choices=Reason, default=Reason.REQUESTED)
    reason = models.CharField(max_length=200, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    outcome = models.CharField(max_length=200, blank=True)
    stripe_refund_id = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="refund_gives_something"),
            # The next refund is computed from what this one leaves.
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status="open"),
                name="refund_is_asked_one_at_a_time",
            ),
        ]
        indexes = [
            # Staff look a refund up by what Stripe calls it.
            models.Index(
                fields=["stripe_refund_id"],
                condition=~Q(stripe_refund_id=""),
                name="refunds_at_stripe",
            ),
            # The sweep takes what is to be asked of Stripe.
            models.Index(
                fields=["next_attempt_at"], condition=Q(status="open"), name="refunds_to_ask"
            ),
        ]

    def __str__(self) -> str:
        return f"Refund of {self.order}"
