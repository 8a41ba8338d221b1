"""One order of a pack, with a snapshot of what was ordered."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Team
from billing.models.catalogue import Pack
from billing.models.promotion import Promotion
from common.money import micros


class Order(models.Model):
    """An order. The pack may be edited or deleted afterwards; the snapshot is what was agreed.

    `clawed_back_credits` and `reinstated_credits` only grow. Their difference follows
    `min(credits, floor(credits × (refunded + disputed) / paid))`. The reference of each step of
    either has the sum that it reaches, so that no step is booked twice.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        # The customer has finished on the payment page, and the bank has not confirmed yet.
        PENDING = "pending"
        FULFILLED = "fulfilled"
        FAILED = "failed"
        EXPIRED = "expired"
        # Paid, but what Stripe says differs from the snapshot: a person decides.
        REVIEW = "review"
        # A person took it out of review without crediting it.
        CLOSED = "closed"

    class Channel(models.TextChoices):
        CHECKOUT = "checkout", "Checkout"
        # Paid with a saved card, without a Checkout Session.
        TOP_UP = "top_up", "auto top-up"

    # A payment of these may still arrive, so the sweep keeps asking.
    UNPAID = (Status.OPEN, Status.PENDING)

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # Indexes below begin with the team.
    team = models.ForeignKey(Team, models.PROTECT, db_index=False, related_name="orders")
    # Who placed it or, for a top-up, who agreed to it.
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders")
    pack = models.ForeignKey(Pack, models.SET_NULL, null=True, related_name="orders")
    pack_name = models.CharField(max_length=60)
    credits = models.BigIntegerField()
    # How many of these a promotion added. They are of the same lot, sold for the same payment.
    bonus_credits = models.BigIntegerField(default=0, db_default=0)
    promotion = models.ForeignKey(
        Promotion, models.PROTECT, null=True, db_index=False, related_name="orders"
    )
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    validity_days = models.PositiveIntegerField(null=True)
    # The catalogue's Price at Stripe, if the pack had one when it was ordered.
    stripe_price_id = models.CharField(max_length=120, blank=True)
    # The network that it came from, for the limit on orders that nobody pays: an IPv4 address, or
    # the first address of an IPv6 /64.
    client_address = models.GenericIPAddressField(null=True)

    # In which the buyer reads the payment page; empty: as the browser asks.
    language = models.CharField(max_length=10, blank=True, db_default="", default="")

    channel = models.CharField(max_length=8, choices=Channel, default=Channel.CHECKOUT)
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    review_reason = models.CharField(max_length=200, blank=True)
    # NULL, not empty, if there is none, because the column is unique.
    stripe_session_id = models.CharField(max_length=120, unique=True, null=True)  # noqa: DJ001
    stripe_session_url = models.URLField(max_length=2_000, blank=True)
    stripe_payment_intent_id = models.CharField(max_length=120, blank=True)
    stripe_charge_id = models.CharField(max_length=120, blank=True)
    # As they were when it was paid; they end. `orders/documents.py` asks for those of today.
    receipt_url = models.URLField(max_length=2_000, blank=True)
    invoice_url = models.URLField(max_length=2_000, blank=True)
    # `amount_cents` is the price; what was paid is the price, less discount, with tax.
    paid_cents = models.PositiveIntegerField(null=True)
    discount_cents = models.PositiveIntegerField(default=0)
    tax_cents = models.PositiveIntegerField(default=0)
    refunded_cents = models.PositiveIntegerField(default=0)
    disputed_cents = models.PositiveIntegerField(default=0)
    clawed_back_credits = models.BigIntegerField(default=0)
    reinstated_credits = models.BigIntegerField(default=0)
    # Counts the booked answers of Stripe's, so that an older answer is noticed.
    revision = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    fulfilled_at = models.DateTimeField(null=True)
    # When the sweep asks Stripe about an open order next.
    next_check_at = models.DateTimeField(default=timezone.now)
    # Set when the return page showed the customer's first key, which happens once.
    key_shown_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("ask_stripe", "Ask Stripe again about orders")]
        constraints = [
            models.CheckConstraint(condition=Q(credits__gt=0), name="order_has_credits"),
            models.CheckConstraint(condition=Q(amount_cents__gt=0), name="order_costs_something"),
            models.CheckConstraint(
                condition=Q(bonus_credits=0, promotion=None)
                | Q(
                    bonus_credits__gt=0,
                    bonus_credits__lt=F("credits"),
                    promotion__isnull=False,
                ),
                name="order_bonus_has_a_promotion",
            ),
            models.CheckConstraint(
                condition=Q(reinstated_credits__gte=0)
                & Q(clawed_back_credits__gte=F("reinstated_credits"))
                & Q(clawed_back_credits__lte=F("reinstated_credits") + F("credits")),
                name="order_gives_back_at_most_its_credits",
            ),
            models.CheckConstraint(
                condition=Q(status="fulfilled", fulfilled_at__isnull=False)
                | ~Q(status="fulfilled") & Q(fulfilled_at=None),
                name="order_is_fulfilled_at_an_instant",
            ),
            # Also the index by which a wallet's open top-up is found.
            models.UniqueConstraint(
                fields=["team"],
                condition=Q(channel="top_up", status__in=["open", "pending"]),
                name="one_top_up_is_open",
            ),
        ]
        indexes = [
            # The sweep looks at open orders that are due.
            models.Index(
                fields=["next_check_at"],
                condition=Q(status__in=["open", "pending"]),
                name="orders_to_check",
            ),
            models.Index(fields=["team", "-id"], name="orders_of_a_team"),
            models.Index(fields=["created_at"], name="orders_by_time"),
            # The overview tells of those whose money has not become credits yet.
            models.Index(
                fields=["team", "-id"],
                condition=Q(status__in=["pending", "review"]),
                name="orders_at_work",
            ),
            # Events name a charge; reconciliation looks charges up by the hundred.
            models.Index(
                fields=["stripe_charge_id"],
                condition=~Q(stripe_charge_id=""),
                name="orders_by_charge",
            ),
            # Staff look an order up by what Stripe calls its payment.
            models.Index(
                fields=["stripe_payment_intent_id"],
                condition=~Q(stripe_payment_intent_id=""),
                name="orders_by_payment",
            ),
            # Whether a promotion was used decides what staff may change of it.
            models.Index(
                fields=["promotion"],
                condition=Q(promotion__isnull=False),
                name="orders_of_a_promotion",
            ),
            # The monthly ceiling adds up a team's top-ups.
            models.Index(
                fields=["team", "created_at"],
                condition=Q(channel="top_up"),
                name="top_ups_of_a_month",
            ),
            # The limit on orders that nobody pays counts one address's orders of the last hour.
            models.Index(fields=["client_address", "-created_at"], name="orders_by_address"),
        ]

    def __str__(self) -> str:
        return f"{self.pack_name} for {self.team} ({self.status})"

    @property
    def is_top_up(self) -> bool:
        return self.channel == self.Channel.TOP_UP

    @property
    def taken_back_credits(self) -> int:
        """Return how many credits refunds and disputes have taken back by now."""
        return self.clawed_back_credits - self.reinstated_credits

    @property
    def charged_cents(self) -> int:
        """Return what the customer paid; the price until it is paid."""
        return self.amount_cents if self.paid_cents is None else self.paid_cents

    @property
    def net_micros(self) -> int:
        """Return what of the payment is ours, without tax, in millionths of the currency."""
        return micros(max(0, self.charged_cents - self.tax_cents), self.currency)

    @property
    def returned_micros(self) -> int:
        """Return how much of `net_micros` went back or is disputed: its share, rounded down."""
        if not self.charged_cents:
            return 0
        return self.net_micros * self.returned_cents // self.charged_cents

    @property
    def returned_cents(self) -> int:
        """Return how much of the payment went back or is disputed."""
        return min(self.refunded_cents + self.disputed_cents, self.charged_cents)
