"""The ledger: the entries of each wallet, and the lots that are left."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.models.wallet import Wallet


class LedgerEntry(models.Model):
    """One immutable, signed posting to a wallet, in credits.

    A trigger refuses UPDATE and DELETE. `billing.ledger.credits` and `billing.ledger.bookings` are
    the two writers; their forms of `reference` are in `billing.ledger.references`.
    """

    class Kind(models.TextChoices):
        PURCHASE = "purchase"
        GRANT = "grant"
        USAGE = "usage"
        CLAWBACK = "clawback"
        REINSTATEMENT = "reinstatement"
        EXPIRY = "expiry"
        ADJUSTMENT = "adjustment"

    # The indexes below begin with it.
    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="entries")
    kind = models.CharField(max_length=16, choices=Kind)
    amount_credits = models.BigIntegerField()
    balance_credits = models.BigIntegerField(help_text="Posted, right after this entry.")
    # What it was made for: an order, a request, a refund. With the kind it can be posted only once.
    reference = models.CharField(max_length=80)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    # NULL: a credit, whose lot has it; usage, whose receipt has it; or an entry of before.
    sold_for = models.JSONField(
        null=True,
        editable=False,
        help_text="What the credits that it took were sold for, in millionths by currency.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "ledger entries"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="entry_is_posted_once"),
            models.CheckConstraint(condition=~Q(amount_credits=0), name="entry_moves_something"),
            models.CheckConstraint(
                condition=Q(balance_credits__gte=0), name="entry_leaves_no_negative_balance"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["purchase", "grant", "reinstatement"], amount_credits__gt=0)
                | Q(kind__in=["usage", "clawback", "expiry"], amount_credits__lt=0)
                | Q(kind="adjustment"),
                name="entry_has_the_sign_of_its_kind",
            ),
        ]
        indexes = [
            # The dashboard, the audit and the check at each commit read one wallet's in order.
            models.Index(fields=["wallet", "id"], name="entries_in_order"),
            # The desk adds up what is not usage.
            models.Index(fields=["wallet"], condition=~Q(kind="usage"), name="entries_but_usage"),
            # The desk jumps to a time.
            models.Index(fields=["created_at"], name="entries_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_credits:+d}"


class Lot(models.Model):
    """What is left of one credit, and when it expires. Used in `order_of_use`."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="lots")
    entry = models.OneToOneField(LedgerEntry, models.PROTECT, related_name="lot")
    is_promotional = models.BooleanField(default=False)
    granted_credits = models.BigIntegerField()
    remaining_credits = models.BigIntegerField()
    expires_at = models.DateTimeField(null=True)
    currency = models.CharField(
        max_length=3, blank=True, db_default="", help_text="Of what was paid; empty: a gift."
    )
    # 0: a gift. NULL: not known.
    paid_micros = models.BigIntegerField(
        null=True,
        help_text="What was paid for all of it, without tax and discount, in millionths of the"
        " currency.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(paid_micros=None)
                | Q(paid_micros=0)
                | Q(paid_micros__gt=0) & ~Q(currency=""),
                name="lot_is_paid_in_a_currency",
            ),
            models.CheckConstraint(
                condition=Q(remaining_credits__gte=0)
                & Q(remaining_credits__lte=F("granted_credits")),
                name="lot_keeps_between_0_and_granted",
            ),
            models.CheckConstraint(condition=Q(granted_credits__gt=0), name="lot_has_credits"),
        ]
        indexes = [
            # Every booking takes from one wallet's lots that have something left.
            models.Index(
                fields=["wallet", "expires_at"],
                condition=Q(remaining_credits__gt=0),
                name="lots_with_something_left",
            ),
        ]

    def __str__(self) -> str:
        return f"Lot {self.pk}: {self.remaining_credits} of {self.granted_credits}"
