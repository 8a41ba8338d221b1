"""The Customer at Stripe that a wallet's owner is."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.wallet import Wallet


class StripeCustomer(models.Model):
    """A wallet's Customer at Stripe, where its company, address, tax ids and cards are kept.

    A row of its own: it belongs to whoever owns the wallet.
    """

    wallet = models.OneToOneField(Wallet, models.PROTECT, related_name="stripe_customer")
    # Names this owner to Stripe: a primary key may be in use by another installation, too.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # Empty before the first one, and once it is gone at Stripe.
    stripe_customer_id = models.CharField(max_length=120, blank=True)
    # How many were gone. A part of the idempotency key, or Stripe would answer with the last one.
    generation = models.PositiveIntegerField(default=0)
    # What Stripe was told last.
    email = models.EmailField(blank=True)
    # A digest of the company and address that Stripe was told last; empty if of none.
    details_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "Stripe customer"
        constraints = [
            models.UniqueConstraint(
                fields=["stripe_customer_id"],
                condition=~Q(stripe_customer_id=""),
                name="stripe_customer_has_one_wallet",
            ),
        ]

    def __str__(self) -> str:
        return f"Stripe customer of {self.wallet.team}"
