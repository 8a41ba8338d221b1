"""The prepaid balance of one team in PostgreSQL, the book of record."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Team


class Wallet(models.Model):
    """A team's balance: the sum of its ledger entries, updated with them under a lock.

    `version` counts every change that Redis must learn of: a credit, a state, a key. It is pushed
    with the absolute values; `pushed_version` is the last one pushed, so a lost push is found.
    """

    class State(models.TextChoices):
        ACTIVE = "active"
        FROZEN = "frozen"

    team = models.OneToOneField(Team, models.PROTECT, related_name="wallet")
    posted_credits = models.BigIntegerField(default=0, editable=False)
    credited_credits = models.BigIntegerField(
        default=0, editable=False, help_text="Sum of all entries that PostgreSQL decided."
    )
    debt_credits = models.BigIntegerField(default=0, editable=False)
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE, editable=False)
    frozen_reason = models.CharField(max_length=200, blank=True, editable=False)
    # The limits of all keys of this wallet together.
    requests_per_minute = models.PositiveIntegerField(
        null=True, editable=False, help_text="Of all keys together. Empty: the site's default."
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, editable=False, help_text="Of all keys together. Empty: the site's default."
    )
    concurrent_requests = models.PositiveIntegerField(
        null=True, editable=False, help_text="Of all keys together. Empty: the site's default."
    )
    version = models.BigIntegerField(default=1, editable=False)
    pushed_version = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions = [("view_dashboard", "See customers' dashboards as they do")]
        constraints = [
            models.CheckConstraint(
                condition=Q(posted_credits__gte=0), name="posted_is_not_below_0"
            ),
            models.CheckConstraint(condition=Q(debt_credits__gte=0), name="debt_is_not_below_0"),
            models.CheckConstraint(
                condition=Q(credited_credits__gte=F("posted_credits")),
                name="posted_is_at_most_credited",
            ),
            models.CheckConstraint(
                condition=Q(pushed_version__lte=F("version")), name="pushed_is_at_most_version"
            ),
            models.CheckConstraint(
                condition=(Q(requests_per_minute=None) | Q(requests_per_minute__gt=0))
                & (Q(tokens_per_minute=None) | Q(tokens_per_minute__gt=0))
                & (Q(concurrent_requests=None) | Q(concurrent_requests__gt=0)),
                name="wallet_allows_something_at_once",
            ),
        ]
        indexes = [
            # The refresher asks every second for wallets whose push was lost.
            models.Index(
                fields=["id"],
                condition=Q(pushed_version__lt=F("version")),
                name="wallet_push_is_due",
            ),
        ]

    def __str__(self) -> str:
        return f"Wallet of {self.team}"


class Freeze(models.Model):
    """One reason why a wallet is frozen. The wallet is active again when the last one is lifted.

    So a won dispute does not lift a freeze by staff, and a freeze that staff lifted stays lifted
    when another event about the same dispute arrives.
    """

    class Kind(models.TextChoices):
        STAFF = "staff"
        DISPUTE = "dispute"
        FRAUD_WARNING = "fraud_warning", "fraud warning"

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="freezes")
    kind = models.CharField(max_length=16, choices=Kind)
    # Stripe's id of the dispute or warning; a freeze by staff has an id of its own.
    reference = models.CharField(max_length=120)
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="freeze_has_one_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Debit(models.Model):
    """A debit that is not usage and that Redis has to decide: clawback, expiry, adjustment.

    The row says what is to be taken. Redis takes what is available; the drain books that as a
    ledger entry with this reference and sets `booked_at`. The rest of a clawback becomes debt,
    unless the clawback is a payment of debt.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="debits")
    kind = models.CharField(max_length=16)
    reference = models.CharField(max_length=80)
    amount_credits = models.BigIntegerField(help_text="To take at most.")
    # For an expiry: the wallet's figures when its lot was read; see `tp_debit`.
    snapshot_posted_credits = models.BigIntegerField(null=True, editable=False)
    snapshot_credited_credits = models.BigIntegerField(null=True, editable=False)
    taken_credits = models.BigIntegerField(null=True, editable=False)
    lot = models.ForeignKey(
        "billing.Lot",
        models.PROTECT,
        null=True,
        related_name="debits",
        help_text="Take it from this lot, not from the one that expires first.",
    )
    order = models.ForeignKey("billing.Order", models.PROTECT, null=True, related_name="debits")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    booked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="debit_is_asked_once"),
            models.CheckConstraint(condition=Q(amount_credits__gt=0), name="debit_takes_something"),
            models.CheckConstraint(
                condition=Q(taken_credits=None)
                | Q(taken_credits__gte=0, taken_credits__lte=F("amount_credits")),
                name="debit_takes_at_most_its_amount",
            ),
        ]
        indexes = [
            # The sweep looks for debits that are not decided or not booked yet.
            models.Index(fields=["id"], condition=Q(booked_at=None), name="debit_is_open"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
