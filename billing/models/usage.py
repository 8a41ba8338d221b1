"""What one request consumed and was charged: the customer's receipt."""

from functools import reduce
from operator import add

from django.db import models
from django.db.models import F, Q

from accounts.models import ApiKey, User
from billing.models.catalogue import ModelPrice
from billing.models.wallet import Wallet
from billing.token_classes import COUNTS, PARTS

NOT_NEGATIVE = ("held_credits", "charged_credits", "write_off_credits")


class UsageRecord(models.Model):
    """One record per request that an upstream accepted. Written by the drain alone.

    `charged + write_off = target`: what could not be charged is the operator's loss, not a debt.
    """

    class Outcome(models.TextChoices):
        COMPLETED = "completed"
        CLIENT_LEFT = "client_left", "client left"
        BROKEN = "broken", "broken by the upstream"
        ABANDONED = "abandoned", "process lost"

    class Source(models.TextChoices):
        REPORTED = "reported"
        ESTIMATED = "estimated"
        # The upstream reported an impossible usage; a person decides.
        PARKED = "parked"

    request_id = models.CharField(max_length=64, unique=True)
    # Indexes below begin with the wallet and the key, and nobody asks by the price.
    wallet = models.ForeignKey(Wallet, models.PROTECT, db_index=False, related_name="usage_records")
    api_key = models.ForeignKey(
        ApiKey, models.PROTECT, db_index=False, related_name="usage_records"
    )
    # Whose caps it counted for: who made the key. NULL: the key was nobody's any more.
    member = models.ForeignKey(
        User, models.PROTECT, null=True, db_index=False, related_name="usage_records"
    )
    price = models.ForeignKey(ModelPrice, models.PROTECT, db_index=False, related_name="+")
    model_name = models.CharField(max_length=120)
    provider_name = models.CharField(max_length=60, blank=True)
    endpoint = models.CharField(max_length=40)
    is_stream = models.BooleanField()
    attempts = models.PositiveSmallIntegerField(default=1)

    prompt_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField(default=0)
    prompt_audio_tokens = models.BigIntegerField(default=0)
    prompt_image_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    completion_audio_tokens = models.BigIntegerField(default=0)
    outcome = models.CharField(max_length=12, choices=Outcome)
    source = models.CharField(max_length=10, choices=Source)

    held_credits = models.BigIntegerField()
    target_credits = models.BigIntegerField()
    charged_credits = models.BigIntegerField()
    write_off_credits = models.BigIntegerField(default=0)
    # What it cost us at the provider, at the route's prices of the time. NULL: not known.
    cost_nanos = models.BigIntegerField(null=True, help_text="In billionths of the currency.")
    # What its credits had been sold for, such as {"usd": 2500}. NULL: not known.
    income_micros = models.JSONField(
        null=True, editable=False, help_text="In millionths, by currency."
    )

    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    first_byte_ms = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("view_margin", "See what requests cost and bring in")]
        constraints = [
            models.CheckConstraint(
                condition=Q(target_credits=F("charged_credits") + F("write_off_credits")),
                name="usage_is_charged_or_written_off",
            ),
            models.CheckConstraint(
                condition=Q(**{f"{name}__gte": 0 for name in (*COUNTS, *NOT_NEGATIVE)}),
                name="usage_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(cost_nanos=None) | Q(cost_nanos__gte=0),
                name="usage_cost_is_not_negative",
            ),
            models.CheckConstraint(
                # The parts are added up, because no token is counted in two of them.
                condition=Q(
                    **{
                        f"{parent.count}__gte": reduce(add, (F(part.count) for part in parts))
                        for parent, parts in PARTS.items()
                    }
                ),
                name="usage_classes_are_subsets",
            ),
        ]
        indexes = [
            # The dashboard lists one wallet's usage, newest first.
            models.Index(fields=["wallet", "-id"], name="usage_of_a_wallet"),
            # It may also list one key's, or one model's.
            models.Index(fields=["wallet", "model_name", "-id"], name="usage_of_a_wallet_by_model"),
            models.Index(fields=["api_key", "-id"], name="usage_of_a_key"),
            # The desk lists what went wrong of one wallet's.
            models.Index(
                fields=["wallet", "-id"],
                condition=~Q(outcome="completed"),
                name="trouble_of_a_wallet",
            ),
            # Members of a team see their own, and its admins anybody's.
            models.Index(fields=["wallet", "member", "-id"], name="usage_of_a_member"),
            # Roll-ups add up a wallet's quarter of an hour again.
            models.Index(fields=["wallet", "ended_at"], name="usage_of_a_wallet_by_time"),
            models.Index(fields=["ended_at"], name="usage_by_time"),
            # The desk lists one model's, and what is not as usual.
            models.Index(fields=["model_name", "-id"], name="usage_of_a_model"),
            models.Index(
                fields=["outcome", "-id"],
                condition=~Q(outcome="completed"),
                name="usage_that_is_not_completed",
            ),
            models.Index(
                fields=["source", "-id"],
                condition=~Q(source="reported"),
                name="usage_that_is_not_reported",
            ),
        ]

    def __str__(self) -> str:
        return self.request_id

    @property
    def duration_ms(self) -> int:
        """Return how long the request took; two machines' clocks may differ."""
        return max(0, round((self.ended_at - self.started_at).total_seconds() * 1_000))

    @property
    def tokens_per_second(self) -> float | None:
        """Return how fast the answer came, of a stream from its first byte on; None without one."""
        took_ms = self.duration_ms - (self.first_byte_ms or 0 if self.is_stream else 0)
        return self.completion_tokens * 1_000 / took_ms if took_ms > 0 else None


class KeyWriteOff(models.Model):
    """What the requests of one API key that came within one hour (UTC) cost beyond their charge.

    Counted by the drain for an alarm: what each request lost is on its receipt.
    """

    api_key = models.ForeignKey(ApiKey, models.PROTECT, related_name="write_offs")
    hour = models.DateTimeField(help_text="When the hour began.")
    credits = models.BigIntegerField()

    class Meta:
        verbose_name = "write-offs of a key"
        verbose_name_plural = "write-offs of keys"
        ordering = ["-hour", "-credits"]
        constraints = [
            models.UniqueConstraint(fields=["api_key", "hour"], name="key_write_off_is_one_row"),
            models.CheckConstraint(
                condition=Q(credits__gte=0), name="key_write_off_is_not_negative"
            ),
        ]
        indexes = [models.Index(fields=["hour"], name="key_write_off_by_hour")]

    def __str__(self) -> str:
        return f"{self.api_key} at {self.hour:%Y-%m-%d %H}:00"


class KeySpending(models.Model):
    """What one API key was charged for requests that started in one month (UTC).

    The drain keeps this sum of usage records, so that a rebuild of the wallets need not read every
    record. `audit_money` compares the two.
    """

    api_key = models.ForeignKey(ApiKey, models.PROTECT, related_name="spending")
    month = models.PositiveIntegerField(help_text="Such as 202611.")
    charged_credits = models.BigIntegerField()

    class Meta:
        ordering = ["api_key", "-month"]
        constraints = [
            models.UniqueConstraint(fields=["api_key", "month"], name="key_spending_is_one_row"),
            models.CheckConstraint(
                condition=Q(charged_credits__gte=0), name="key_spending_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.api_key} in {self.month}"


class MemberSpending(models.Model):
    """What one member was charged on one wallet for requests that started in one month (UTC).

    Requests of all keys that the member made, whatever became of them. Kept like `KeySpending`.
    """

    # The unique constraint begins with the wallet.
    wallet = models.ForeignKey(
        Wallet, models.PROTECT, db_index=False, related_name="spending_of_members"
    )
    member = models.ForeignKey(User, models.PROTECT, related_name="spending")
    month = models.PositiveIntegerField(help_text="Such as 202611.")
    charged_credits = models.BigIntegerField()

    class Meta:
        verbose_name = "spending of a member"
        verbose_name_plural = "spending of members"
        ordering = ["wallet", "member", "-month"]
        constraints = [
            models.UniqueConstraint(
                fields=["wallet", "member", "month"], name="member_spending_is_one_row"
            ),
            models.CheckConstraint(
                condition=Q(charged_credits__gte=0), name="member_spending_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.member} in {self.month}"
