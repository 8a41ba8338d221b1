"""Automatic top-up: what a customer agreed to, the saved card, and what Stripe is asked for."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.catalogue import Pack
from billing.models.order import Order
from billing.models.wallet import Wallet


class TopUpConsent(models.Model):
    """What a customer agreed to: the exact words, and the terms at the time. Never edited."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="top_up_consents")
    # Who agreed for the team, and is the buyer of what is ordered.
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    version = models.CharField(max_length=20)
    text = models.TextField()
    pack_name = models.CharField(max_length=60)
    credits = models.BigIntegerField()
    amount_cents = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    threshold_credits = models.BigIntegerField()
    monthly_ceiling_cents = models.PositiveBigIntegerField()
    address = models.GenericIPAddressField(null=True)
    given_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(credits__gt=0, amount_cents__gt=0, threshold_credits__gt=0),
                name="consent_is_to_something",
            ),
            models.CheckConstraint(
                condition=Q(monthly_ceiling_cents__gte=models.F("amount_cents")),
                name="consent_allows_one_top_up",
            ),
        ]

    def __str__(self) -> str:
        return f"Consent {self.version} of {self.given_at:%Y-%m-%d}"


class AutoTopUp(models.Model):
    """How a wallet tops itself up: below a threshold, one pack, up to a ceiling per UTC month.

    A card is charged only in the state `on`. A card is saved through a Checkout Session of
    `mode=setup`; only the session started last counts, so a late event of another changes nothing.
    """

    class State(models.TextChoices):
        OFF = "off"
        # There is a consent, and no card is saved yet.
        WAITING = "waiting", "waits for a card"
        ON = "on"

    class OffReason(models.TextChoices):
        CUSTOMER = "customer", "switched off by the customer"
        DECLINED = "declined", "the card was declined"
        AUTHENTICATION = "authentication", "the bank asks for a confirmation"
        TERMS = "terms", "the pack changed or is no longer sold"
        STAFF = "staff", "switched off by staff"
        RETURNED = "returned", "a payment was refunded or disputed"
        UNCREDITED = "uncredited", "a payment could not be credited"
        FAULT = "fault", "a charge met an error that nobody expected"

    wallet = models.OneToOneField(Wallet, models.PROTECT, related_name="auto_top_up")
    # Names this customer to Stripe: a primary key may be in use by another installation, too.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=8, choices=State, default=State.OFF)
    pack = models.ForeignKey(Pack, models.SET_NULL, null=True, related_name="+")
    currency = models.CharField(max_length=3, blank=True)
    threshold_credits = models.BigIntegerField(null=True)
    monthly_ceiling_cents = models.PositiveBigIntegerField(null=True)
    consent = models.ForeignKey(TopUpConsent, models.PROTECT, null=True, related_name="+")

    # The customer whose card it is; the wallet may have another one by now.
    stripe_customer_id = models.CharField(max_length=120, blank=True)
    stripe_payment_method_id = models.CharField(max_length=120, blank=True)
    # Such as "Visa ending in 4242".
    card_label = models.CharField(max_length=60, blank=True)
    stripe_setup_session_id = models.CharField(max_length=120, blank=True)

    off_reason = models.CharField(max_length=16, choices=OffReason, blank=True)
    off_detail = models.CharField(max_length=200, blank=True)
    off_at = models.DateTimeField(null=True)
    # Set when the ceiling is reached, to the start of the next month.
    paused_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "auto top-up"
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="on")
                | Q(
                    consent__isnull=False,
                    threshold_credits__gt=0,
                    monthly_ceiling_cents__gt=0,
                )
                & ~Q(stripe_customer_id="")
                & ~Q(stripe_payment_method_id=""),
                name="top_up_is_on_with_consent_and_card",
            ),
        ]
        indexes = [
            # The sweep compares the balances of those that are on.
            models.Index(fields=["wallet"], condition=Q(state="on"), name="top_up_is_on"),
            models.Index(
                fields=["stripe_setup_session_id"],
                condition=~Q(stripe_setup_session_id=""),
                name="top_up_by_setup_session",
            ),
        ]

    def __str__(self) -> str:
        return f"Auto top-up of {self.wallet.team} ({self.get_state_display()})"

    @property
    def is_on(self) -> bool:
        return self.state == self.State.ON

    @property
    def was_switched_off(self) -> bool:
        """Tell whether it is off, and not by the customer's choice."""
        by_others = self.off_reason not in ("", self.OffReason.CUSTOMER)
        return self.state == self.State.OFF and by_others


class TopUpPayment(models.Model):
    """The request to Stripe that pays a top-up, stored so that a repeat is exactly the same."""

    order = models.OneToOneField(Order, models.PROTECT, related_name="top_up_payment")
    request = models.JSONField()
    # Why it was not paid, in Stripe's words: a decline code.
    decline_code = models.CharField(max_length=60, blank=True)

    def __str__(self) -> str:
        return f"Payment of {self.order}"

    @property
    def stripe_customer_id(self) -> str:
        return str(self.request["customer"])

    @property
    def stripe_payment_method_id(self) -> str:
        return str(self.request["payment_method"])
