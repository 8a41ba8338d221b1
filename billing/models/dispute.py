"""A dispute: a payment that a customer's bank takes back without asking us."""

from django.db import models
from django.utils import timezone

from billing.models.order import Order


class Dispute(models.Model):
    """A dispute as last read from Stripe. COUNTED ones have taken the money, at least for now."""

    # https://docs.stripe.com/api/disputes/object#dispute_object-status
    OPEN = (
        "warning_needs_response",
        "warning_under_review",
        "needs_response",
        "under_review",
        "appeal_needs_response",
        "appeal_under_review",
    )
    # An inquiry (warning_…) has withdrawn nothing yet; a prevented dispute is a refund.
    COUNTED = (
        "needs_response",
        "under_review",
        "appeal_needs_response",
        "appeal_under_review",
        "lost",
    )

    order = models.ForeignKey(Order, models.PROTECT, related_name="disputes")
    stripe_dispute_id = models.CharField(max_length=120, unique=True)
    amount_cents = models.PositiveIntegerField()
    # That of `amount_cents`. Empty in rows older than this column: the order's.
    currency = models.CharField(max_length=3, blank=True, db_default="")
    reason = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=30)
    respond_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.stripe_dispute_id} ({self.status})"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def is_won(self) -> bool:
        """Tell whether it ended in our favour: won, prevented, or an inquiry that was closed."""
        return not self.is_open and not self.is_counted

    @property
    def is_counted(self) -> bool:
        return self.status in self.COUNTED
