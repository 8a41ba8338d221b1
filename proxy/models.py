"""Who serves a public model: providers, their keys, and routes."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models import PublicModel

PROVIDER_NAME = RegexValidator(
    r"^[a-z0-9][a-z0-9-]*$", "A provider's name has small letters, digits and hyphens."
)


class Provider(models.Model):
    """An upstream company or server that sells completions."""

    name = models.CharField(max_length=60, unique=True, validators=[PROVIDER_NAME])
    base_url = models.URLField(
        max_length=300, help_text="With its path, such as https://api.openai.com/v1"
    )
    is_active = models.BooleanField(default=True)
    bills_after_cancel = models.BooleanField(
        default=False, help_text="Bills the whole answer even if we hang up: drain it instead."
    )
    connect_timeout_s = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1)]
    )
    first_byte_timeout_s = models.PositiveSmallIntegerField(
        default=60, validators=[MinValueValidator(1)]
    )
    idle_timeout_s = models.PositiveSmallIntegerField(default=60, validators=[MinValueValidator(1)])
    total_timeout_s = models.PositiveSmallIntegerField(
        default=600, validators=[MinValueValidator(1)]
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ProviderKey(models.Model):
    """One of our keys at a provider, encrypted with PROVIDER_KEYS_SECRET."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="keys")
    encrypted_secret = models.BinaryField(editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The last four characters.")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.provider} …{self.hint}"


class Route(models.Model):
    """How a public model maps to a provider's model, and in which order routes are tried."""

    model = models.ForeignKey(PublicModel, models.CASCADE, related_name="routes")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="routes")
    upstream_model = models.CharField(max_length=120, help_text="The provider's name for it.")
    priority = models.PositiveSmallIntegerField(default=0, help_text="Lower is tried first.")
    weight = models.PositiveSmallIntegerField(
        default=1, help_text="Share of the traffic among routes of one priority."
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["model", "priority", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "provider", "upstream_model"], name="route_exists_once"
            ),
            models.CheckConstraint(condition=Q(weight__gt=0), name="route_has_weight"),
        ]

    def __str__(self) -> str:
        return f"{self.model} → {self.provider}: {self.upstream_model}"
