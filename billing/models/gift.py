"""Credits that nobody paid for: codes that staff give away, and the welcome credit."""

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Team


class CodeBatch(models.Model):
    """Codes that were made together, have the same terms and are revoked together."""

    name = models.CharField(max_length=60)
    credits = models.BigIntegerField(validators=[MinValueValidator(1)], help_text="Of each code.")
    lot_days = models.PositiveIntegerField(
        null=True, help_text="Days until the credits expire, counted from the redemption."
    )
    is_promotional = models.BooleanField(default=True)
    is_one_each = models.BooleanField(default=True, help_text="One code of it per customer.")
    expires_at = models.DateTimeField(null=True, help_text="When the codes stop working.")
    # By this id a second press of the button finds the first batch.
    once = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "code batch"
        verbose_name_plural = "code batches"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(credits__gt=0), name="code_batch_has_credits"),
            models.CheckConstraint(
                condition=Q(lot_days=None) | Q(lot_days__gt=0), name="code_batch_lasts_a_day"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RedeemCode(models.Model):
    """One code. Only its digest is stored; its text is in the file to which staff exported it."""

    batch = models.ForeignKey(CodeBatch, models.PROTECT, related_name="codes")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, help_text="The last four characters.")
    # A copy of the batch's, because the constraint below needs it in this table.
    is_one_each = models.BooleanField()
    redeemed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="redeemed_codes"
    )
    team = models.ForeignKey(Team, models.PROTECT, null=True, related_name="redeemed_codes")
    redeemed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="code_has_a_digest"
            ),
            models.CheckConstraint(
                condition=Q(redeemed_by=None, team=None, redeemed_at=None)
                | Q(redeemed_by__isnull=False, team__isnull=False, redeemed_at__isnull=False),
                name="code_is_redeemed_by_somebody",
            ),
            models.UniqueConstraint(
                fields=["batch", "redeemed_by"],
                condition=Q(is_one_each=True, redeemed_by__isnull=False),
                name="code_of_a_batch_is_redeemed_once_each",
            ),
            models.UniqueConstraint(
                fields=["batch", "team"],
                condition=Q(is_one_each=True, team__isnull=False),
                name="code_of_a_batch_is_for_a_team_once",
            ),
        ]

    def __str__(self) -> str:
        return f"…{self.hint}"


class WelcomeCredit(models.Model):
    """The welcome of a customer who verified an address: its credits, or why it was refused."""

    class Refusal(models.TextChoices):
        ADDRESS = "address", "this address was welcomed before"
        NETWORK = "network", "this network was welcomed lately"
        DOMAIN = "domain", "this mail domain was welcomed too often lately"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="welcomes")
    address = models.CharField(max_length=254, help_text="As mail providers compare it.")
    # These three are keyed digests once the customer has left. A domain is empty in rows of before.
    network = models.CharField(max_length=64, help_text="The /24 or /48 of the IP address.")
    domain = models.CharField(max_length=254, db_default="", help_text="Of the address.")
    refusal = models.CharField(max_length=8, choices=Refusal, blank=True)
    credits = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(refusal=""), name="user_is_welcomed_once"
            ),
            models.UniqueConstraint(
                fields=["address"], condition=Q(refusal=""), name="address_is_welcomed_once"
            ),
            models.CheckConstraint(
                condition=Q(refusal="", credits__gt=0) | ~Q(refusal="") & Q(credits=0),
                name="welcome_gives_or_refuses",
            ),
        ]
        indexes = [
            # Each welcome looks for a recent one of its network.
            models.Index(
                F("network"),
                F("created_at").desc(),
                condition=Q(refusal=""),
                name="welcomed_networks",
            ),
            # Each welcome counts the recent ones of its mail domain.
            models.Index(
                F("domain"),
                F("created_at").desc(),
                condition=Q(refusal=""),
                name="welcomed_domains",
            ),
            models.Index(fields=["created_at"], name="welcomes_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.address} from {self.network}"
