"""Promotions: for a while, packs give more credits for their price, and pages say so."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.models.catalogue import Pack
from common.staff_texts import GERMAN

# Twice as many credits for the same money.
MOST_PERCENT = 100


class Promotion(models.Model):
    """Adds a part of a pack's credits to those it is sold with, between two instants.

    Orders keep what they were given. A hidden one is neither shown nor given. What of it may be
    changed, and when, is in `billing.catalogue.promotion_terms`.
    """

    class State(models.TextChoices):
        HIDDEN = "hidden"
        PLANNED = "planned"
        RUNNING = "running"
        OVER = "over"

    name = models.CharField(max_length=60, help_text="Staff alone see it.")
    title = models.CharField(max_length=80)
    title_de = models.CharField(
        "Title in German", max_length=80, blank=True, db_default="", help_text=GERMAN
    )
    text = models.TextField(max_length=300, blank=True, help_text="Plain text.")
    text_de = models.TextField(
        "Text in German", max_length=300, blank=True, db_default="", help_text=GERMAN
    )
    bonus_percent = models.PositiveSmallIntegerField(
        "bonus",
        validators=[MaxValueValidator(MOST_PERCENT)],
        help_text="In percent of a pack's credits, up to 100. 0: it only announces something.",
    )
    packs = models.ManyToManyField(
        Pack, blank=True, related_name="promotions", help_text="Nothing chosen: every pack."
    )
    covers_amounts = models.BooleanField(
        "custom amounts too", default=False, help_text="Whether custom amounts get the bonus, too."
    )
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(help_text="From then on, new orders have no bonus.")
    # Shown and hidden by actions, which say first what it would do.
    is_shown = models.BooleanField("shown", default=False, editable=False)

    class Meta:
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(bonus_percent__gte=0, bonus_percent__lte=MOST_PERCENT),
                name="promotion_adds_a_part",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="promotion_ends_after_its_start",
                violation_error_message="It can't end before it starts.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for a text in German without its title."""
        if self.text_de and not self.title_de:
            raise ValidationError({"title_de": "A German text has a German title above it."})

    def state_at(self, now: datetime) -> State:
        """Return how it stands at an instant."""
        if self.ends_at <= now:
            return self.State.OVER
        if not self.is_shown:
            return self.State.HIDDEN
        return self.State.PLANNED if self.starts_at > now else self.State.RUNNING

    def bonus_of(self, base_credits: int) -> int:
        """Return how many credits it adds to so many, rounded down."""
        return base_credits * self.bonus_percent // 100
