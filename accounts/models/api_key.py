"""API keys: secrets that let programs spend a team's balance."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.team import Team
from accounts.models.user import User


class ApiKey(models.Model):
    """A secret that lets a program spend its team's balance. Only its digest is kept."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="api_keys")
    created_by = models.ForeignKey(User, models.PROTECT, related_name="api_keys")
    # Its maker left the team, and whoever removed them let the key go on.
    is_left_to_team = models.BooleanField(default=False, editable=False)
    # Lent to its maker's pages for an hour at a time; see `billing.keys.playground`.
    is_playground = models.BooleanField(default=False, db_default=False, editable=False)
    name = models.CharField(max_length=60)
    digest = models.CharField(
        max_length=64, unique=True, editable=False, help_text="SHA-256 of the secret, in hex."
    )
    hint = models.CharField(
        max_length=24, editable=False, help_text="The secret's first and last characters."
    )
    # While a rotation lasts, the secret before this one works too.
    # NULL where there is none, because "" would not be unique.
    previous_digest = models.CharField(  # noqa: DJ001
        max_length=64, unique=True, null=True, editable=False
    )
    previous_hint = models.CharField(max_length=24, blank=True, editable=False)
    previous_expires_at = models.DateTimeField(null=True, editable=False)

    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: the site's default."
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Prompt and answer together. Empty: the site's default."
    )
    concurrent_requests = models.PositiveIntegerField(
        null=True, blank=True, help_text="Under way at once. Empty: the site's default."
    )
    lifetime_cap_credits = models.BigIntegerField(
        null=True, blank=True, help_text="The most that this key may ever spend. Empty: no cap."
    )
    monthly_cap_credits = models.BigIntegerField(
        null=True, blank=True, help_text="The most in a calendar month (UTC). Empty: no cap."
    )
    allowed_models = ArrayField(
        models.CharField(max_length=120), default=list, blank=True, help_text="Empty: all models."
    )
    allowed_networks = ArrayField(
        models.CharField(max_length=43),
        default=list,
        blank=True,
        help_text="Addresses or networks such as 203.0.113.0/24. Empty: from anywhere.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    # Refused until somebody resumes it.
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        permissions = [("revoke_apikey", "Revoke API keys")]
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="api_key_has_a_digest"
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute=None) | Q(requests_per_minute__gt=0),
                name="api_key_allows_some_requests",
            ),
            models.CheckConstraint(
                condition=(Q(tokens_per_minute=None) | Q(tokens_per_minute__gt=0))
                & (Q(concurrent_requests=None) | Q(concurrent_requests__gt=0)),
                name="api_key_allows_something_at_once",
            ),
            models.CheckConstraint(
                condition=(Q(lifetime_cap_credits=None) | Q(lifetime_cap_credits__gte=0))
                & (Q(monthly_cap_credits=None) | Q(monthly_cap_credits__gte=0)),
                name="api_key_caps_are_not_negative",
            ),
            models.UniqueConstraint(
                fields=["team", "created_by"],
                condition=Q(is_playground=True, revoked_at=None),
                name="playground_has_one_key",
            ),
            models.CheckConstraint(
                condition=Q(previous_digest=None, previous_expires_at=None, previous_hint="")
                | Q(previous_digest__regex=r"^[0-9a-f]{64}$", previous_expires_at__isnull=False),
                name="api_key_rotation_has_an_end",
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="api_keys_by_time")]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    def is_usable(self, at: datetime) -> bool:
        """Return whether the key may be used at this instant."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def is_rotating(self, at: datetime) -> bool:
        """Return whether the secret before the present one still works."""
        return self.previous_expires_at is not None and at < self.previous_expires_at
