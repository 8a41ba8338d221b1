"""What the status page tells: how long each model was served on a day, and incidents."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.models import PublicModel
from common.staff_texts import GERMAN


class ServiceDay(models.Model):
    """For how long a model answered on a day (UTC), and for how long it did not.

    Time in which nobody asked counts for neither. `proxy.upstreams.service` alone writes it.
    """

    day = models.DateField()
    model_name = models.CharField(max_length=120)
    served_s = models.PositiveIntegerField(default=0)
    failing_s = models.PositiveIntegerField(default=0)
    # The last bucket of ten seconds that is counted, so that none is counted twice.
    counted_bucket = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            # Also the index for reading the days.
            models.UniqueConstraint(fields=["day", "model_name"], name="service_day_is_one_row"),
            models.CheckConstraint(
                condition=Q(served_s__lte=86_400 - F("failing_s")), name="service_day_is_a_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_name} on {self.day}"


class Incident(models.Model):
    """Something that customers notice, as staff tell them."""

    class Impact(models.TextChoices):
        SLOW = "slow", _("Slower than usual")
        SOME_FAIL = "some_fail", _("Some requests fail")
        ALL_FAIL = "all_fail", _("Requests fail")
        PLANNED = "planned", _("Planned work")

    title = models.CharField(max_length=120)
    title_de = models.CharField(
        "Title in German", max_length=120, blank=True, db_default="", help_text=GERMAN
    )
    impact = models.CharField(max_length=10, choices=Impact)
    affected = models.ManyToManyField(
        PublicModel, blank=True, related_name="+", help_text="Nothing chosen: the whole service."
    )
    started_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: it is not over. Filling it in says that it is."
    )

    class Meta:
        ordering = ["-started_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(resolved_at=None) | Q(resolved_at__gte=F("started_at")),
                name="incident_ends_after_its_start",
                violation_error_message="It can't be over before it began.",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class IncidentUpdate(models.Model):
    """What staff said of an incident, and when. It stays as it was said."""

    class State(models.TextChoices):
        LOOKING = "looking", _("We are looking into it")
        FOUND = "found", _("We know the cause")
        WATCHING = "watching", _("Mended, and we are watching")
        OVER = "over", _("Over")

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="updates")
    state = models.CharField(max_length=10, choices=State)
    text = models.TextField(max_length=2_000)
    text_de = models.TextField(
        "Text in German", max_length=2_000, blank=True, db_default="", help_text=GERMAN
    )
    said_at = models.DateTimeField(default=timezone.now, editable=False)
    said_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering = ["-said_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.incident}"
