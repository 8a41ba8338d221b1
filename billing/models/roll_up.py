"""Roll-ups: what the receipts of a quarter of an hour add up to, so that no page adds them again.

`billing.rollups` writes these tables, from booked receipts alone. A quarter of an hour begins at
:00, :15, :30 or :45 UTC, so days add up in every time zone.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from accounts.models import ApiKey
from billing.models.usage import UsageRecord
from billing.models.wallet import Wallet
from billing.token_classes import COUNTS

NOT_NEGATIVE = (
    "requests",
    "charged_credits",
    "write_off_credits",
    *COUNTS,
    "cost_nanos",
    "unpriced_requests",
    "income_micros",
    "unknown_income_requests",
    "duration_ms",
)
IS_NOT_NEGATIVE = Q(**{f"{name}__gte": 0 for name in NOT_NEGATIVE})
ROW_OF_SITE = ("starts_at", "model_name", "provider_name", "outcome", "currency")
# The wallet comes first: it is also the index for reading one wallet's time.
ROW_OF_WALLET = ("wallet", "starts_at", "api_key", *ROW_OF_SITE[1:])


class Sums(models.Model):
    """What requests add up to for margins.

    A request whose credits were sold in several currencies counts in the row of the first; those
    of the others have its income in them only. Income of gifts, and unknown one, has no currency.
    """

    starts_at = models.DateTimeField()
    currency = models.CharField(max_length=3, blank=True, db_default="")

    requests = models.BigIntegerField()
    charged_credits = models.BigIntegerField()
    write_off_credits = models.BigIntegerField()
    # Of the requests whose cost is known; the others are counted.
    cost_nanos = models.BigIntegerField(help_text="In billionths of the currency.")
    unpriced_requests = models.BigIntegerField()
    income_micros = models.BigIntegerField(
        db_default=0, help_text="What their credits were sold for, in millionths of the currency."
    )
    unknown_income_requests = models.BigIntegerField(db_default=0)

    class Meta:
        abstract = True


class UsageSums(Sums):
    """The sums of requests that are alike in all other columns."""

    model_name = models.CharField(max_length=120)
    provider_name = models.CharField(max_length=60, blank=True)
    outcome = models.CharField(max_length=12, choices=UsageRecord.Outcome)

    prompt_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    prompt_audio_tokens = models.BigIntegerField()
    prompt_image_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    completion_audio_tokens = models.BigIntegerField()
    duration_ms = models.BigIntegerField(help_text="Of all requests together.")

    class Meta:
        abstract = True


class RollUp(UsageSums):
    """The sums of requests that ended in one quarter of an hour."""

    # Requests by duration and by first byte, in the buckets of `billing.rollups.histogram`. Only
    # those are in `first_bytes` that had one.
    durations = ArrayField(models.IntegerField())
    first_bytes = ArrayField(models.IntegerField())

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.model_name} at {self.starts_at:%Y-%m-%d %H:%M}"


class UsageRollUp(RollUp):
    """The sums of one wallet's requests, by key."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="roll_ups")
    api_key = models.ForeignKey(ApiKey, models.PROTECT, db_index=False, related_name="+")

    class Meta:
        constraints = [
            # Also the index for reading one wallet's time.
            models.UniqueConstraint(
                fields=ROW_OF_WALLET,
                name="usage_roll_up_is_one_row",
            ),
            models.CheckConstraint(
                condition=IS_NOT_NEGATIVE,
                name="usage_roll_up_is_not_negative",
            ),
        ]
        indexes = [
            # The rows of a time lie together, since they are written as time passes.
            BrinIndex(fields=["starts_at"], autosummarize=True, name="usage_roll_ups_by_time"),
        ]


class SiteRollUp(RollUp):
    """The sums of all wallets' requests, for the desk and for what is published of models."""

    class Meta:
        constraints = [
            # Also the index for reading a time.
            models.UniqueConstraint(
                fields=ROW_OF_SITE,
                name="site_roll_up_is_one_row",
            ),
            models.CheckConstraint(
                condition=IS_NOT_NEGATIVE,
                name="site_roll_up_is_not_negative",
            ),
        ]


class UsageDay(UsageSums):
    """The sums of one wallet's requests, by key, that ended in one day (UTC)."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="+")
    api_key = models.ForeignKey(ApiKey, models.PROTECT, db_index=False, related_name="+")

    class Meta:
        constraints = [
            # Also the index for reading one wallet's days.
            models.UniqueConstraint(
                fields=ROW_OF_WALLET,
                name="usage_day_is_one_row",
            ),
            models.CheckConstraint(
                condition=IS_NOT_NEGATIVE,
                name="usage_day_is_not_negative",
            ),
        ]
        indexes = [
            BrinIndex(fields=["starts_at"], autosummarize=True, name="usage_days_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.model_name} on {self.starts_at:%Y-%m-%d}"


class KeySpan(Sums):
    """What one key's requests of some days add up to, for margins by customer and key.

    Spans of each length follow each other from 1970 on, so that many days are few rows.
    """

    days = models.PositiveSmallIntegerField()
    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="+")
    api_key = models.ForeignKey(ApiKey, models.PROTECT, db_index=False, related_name="+")

    class Meta:
        constraints = [
            # Also the index for reading some spans of all keys.
            models.UniqueConstraint(
                fields=["days", "starts_at", "api_key", "currency"], name="key_span_is_one_row"
            ),
            models.CheckConstraint(
                condition=Q(
                    requests__gte=0,
                    charged_credits__gte=0,
                    write_off_credits__gte=0,
                    cost_nanos__gte=0,
                    unpriced_requests__gte=0,
                    income_micros__gte=0,
                    unknown_income_requests__gte=0,
                ),
                name="key_span_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.days} days of key {self.api_key_id} from {self.starts_at:%Y-%m-%d}"


class RollUpRange(models.Model):
    """From which days on roll-ups are there; NULL, and no row: from ever. At most one row."""

    # Sums by day are still to be made of receipts that are older than these tables.
    days_from = models.DateField(null=True)
    # When a worker first saw that days are to be made: for an hour, an older one may add receipts.
    seen_at = models.DateTimeField(null=True)
    # Since when `UsageRollUp` has quarters of an hour, a midnight (UTC); days before have sums.
    quarters_from = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Days from {self.days_from}"


class RollUpMark(models.Model):
    """How far a wallet's receipts are rolled up: those with ids up to `record_id`.

    A wallet's receipts are booked while its row is locked, so their ids are in the order of their
    commits, and none can appear below the mark.
    """

    wallet = models.OneToOneField(
        Wallet, models.PROTECT, primary_key=True, related_name="roll_up_mark"
    )
    record_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"Wallet {self.wallet_id} up to {self.record_id}"


class RollUpDue(models.Model):
    """What a booking leaves for the sweep, written in the booking's transaction.

    Either a wallet's last new receipt, or a quarter of an hour in which a booked receipt was
    raised: that one is added up again.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="+")
    record_id = models.BigIntegerField(default=0)
    starts_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Wallet {self.wallet_id}: {self.starts_at or self.record_id}"
