"""Our accounts at providers: the key to ask about one with, and what the provider said last."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from proxy.models.upstreams import Provider, SentToOneHost

PROJECT = RegexValidator(r"^[A-Za-z0-9_-]*$", "A project's id has letters, digits, - and _.")


class ProviderAccount(SentToOneHost, models.Model):
    """What a provider is asked of our account: what we used by its count, or what is left to use.

    Its key may do more than call models, and calls none. It is stored and shown as our other keys
    are; without one of its own, the account is asked about with the first of those.
    """

    class Shape(models.TextChoices):
        """Whose way of telling it has."""

        OPENAI = "openai", "OpenAI: usage and costs by day"
        OPENROUTER = "openrouter", "OpenRouter: credits left"
        DEEPSEEK = "deepseek", "DeepSeek: balance"
        MOONSHOT = "moonshot", "Moonshot: balance"
        SILICONFLOW = "siliconflow", "SiliconFlow: balance"

    provider = models.OneToOneField(Provider, models.CASCADE, related_name="account")
    shape = models.CharField(max_length=20, choices=Shape)
    encrypted_secret = models.BinaryField(default=b"", editable=False)
    hint = models.CharField(max_length=12, blank=True, editable=False)
    origin = models.CharField(max_length=320, blank=True, editable=False)
    project = models.CharField(
        max_length=60,
        blank=True,
        validators=[PROJECT],
        help_text="OpenAI only: the project that our keys belong to. Empty: all of the account.",
    )
    alarm_below = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Staff are told when less is left, in the account's currency.",
    )
    # What was said last, and when; nothing of it is changed by an answer that can't be read.
    balance = models.DecimalField(max_digits=20, decimal_places=6, null=True, editable=False)
    currency = models.CharField(max_length=3, blank=True, editable=False)
    balance_at = models.DateTimeField(null=True, editable=False)
    # In the currency of our costs, by our receipts.
    daily_cost = models.DecimalField(max_digits=20, decimal_places=6, null=True, editable=False)
    days_left = models.DecimalField(max_digits=12, decimal_places=1, null=True, editable=False)
    usage_at = models.DateTimeField(null=True, editable=False)
    # The provider asked to be left alone until then.
    rests_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(balance=None, balance_at=None)
                | Q(balance__isnull=False, balance_at__isnull=False) & ~Q(currency=""),
                name="provider_balance_has_its_instant",
            ),
        ]

    def __str__(self) -> str:
        return f"account at {self.provider}"

    @property
    def has_balance(self) -> bool:
        """Tell whether the provider tells what is left."""
        return self.shape != self.Shape.OPENAI

    @property
    def is_low(self) -> bool:
        """Tell whether less is left than staff want."""
        return (
            self.balance is not None
            and self.alarm_below is not None
            and self.balance < self.alarm_below
        )
