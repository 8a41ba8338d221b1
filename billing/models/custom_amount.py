"""What credits cost where a customer names the amount, by currency."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from billing.models.catalogue import CURRENCY, demand_chargeable
from common.credits import MAX_CREDITS
from common.currencies import UNPROVEN, UNPROVEN_REASON

# What Stripe charges at most in a currency of two decimal places: eight digits.
MOST_CENTS = 99_999_999


class AmountOffer(models.Model):
    """Sells any amount of one currency between two bounds, at a rate that steps may raise."""

    currency = models.CharField(max_length=3, unique=True, validators=[CURRENCY])
    least_cents = models.PositiveIntegerField(
        "least amount",
        validators=[MinValueValidator(1), MaxValueValidator(MOST_CENTS)],
        help_text="In the currency's smallest unit.",
    )
    most_cents = models.PositiveIntegerField(
        "most",
        validators=[MinValueValidator(1), MaxValueValidator(MOST_CENTS)],
        help_text="In the currency's smallest unit.",
    )
    credits_per_unit = models.BigIntegerField(
        "credits for one",
        validators=[MinValueValidator(1), MaxValueValidator(MAX_CREDITS)],
        help_text="For one whole unit of the currency, such as a dollar.",
    )
    validity_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Days until the credits expire. Empty: never.",
    )
    is_active = models.BooleanField("on sale", default=False)

    class Meta:
        verbose_name = "custom amount"
        ordering = ["currency"]
        constraints = [
            models.CheckConstraint(
                condition=Q(least_cents__gt=0, least_cents__lte=F("most_cents")),
                name="amount_offer_has_a_range",
                violation_error_message="The least amount is at most the most.",
            ),
            models.CheckConstraint(
                condition=Q(credits_per_unit__gt=0), name="amount_offer_has_credits"
            ),
            models.CheckConstraint(
                condition=Q(currency__regex="^[a-z]{3}$"), name="amount_offer_has_a_currency"
            ),
            models.CheckConstraint(
                condition=Q(validity_days=None) | Q(validity_days__gt=0),
                name="amount_offer_is_valid_a_day",
            ),
            models.CheckConstraint(
                condition=~Q(currency__in=sorted(UNPROVEN)) | Q(is_active=False),
                name="amount_offer_has_a_proven_currency",
                violation_error_message=UNPROVEN_REASON,
            ),
        ]

    def __str__(self) -> str:
        return f"Amounts in {self.currency}"

    def clean(self) -> None:
        """Raise ValidationError for bounds that Stripe would refuse."""
        for name in ("least_cents", "most_cents"):
            try:
                demand_chargeable(getattr(self, name), self.currency)
            except ValidationError as refusal:
                raise ValidationError({name: refusal.messages}) from refusal


class AmountStep(models.Model):
    """From this amount upwards, the whole of it is sold at a better rate."""

    offer = models.ForeignKey(AmountOffer, models.CASCADE, related_name="steps")
    from_cents = models.PositiveIntegerField(
        "from",
        validators=[MinValueValidator(1), MaxValueValidator(MOST_CENTS)],
        help_text="In the currency's smallest unit.",
    )
    credits_per_unit = models.BigIntegerField(
        "credits for one", validators=[MinValueValidator(1), MaxValueValidator(MAX_CREDITS)]
    )

    class Meta:
        verbose_name = "volume step"
        ordering = ["from_cents"]
        constraints = [
            models.UniqueConstraint(fields=["offer", "from_cents"], name="amount_step_is_unique"),
            models.CheckConstraint(
                condition=Q(from_cents__gt=0, credits_per_unit__gt=0),
                name="amount_step_has_credits",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.offer} from {self.from_cents}"
