"""A deed of staff that is worth more than one person may do alone."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone


class Approval(models.Model):
    """A deed that somebody asked for, and that a second person approves or refuses.

    It names a page of the desk, one of its actions, the object, and the answers of the action's
    form: approving fills the same form in and does what it would have done. An open one that is
    older than `expires_at` can't be approved any more.
    """

    class State(models.TextChoices):
        OPEN = "open"
        APPROVED = "approved"
        REFUSED = "refused"
        WITHDRAWN = "withdrawn"

    page = models.CharField(max_length=80)
    action = models.CharField(max_length=40)
    # Empty: the deed makes a new object.
    object_id = models.CharField(max_length=40, blank=True)
    # One press of a button asks once.
    press = models.UUIDField()
    answers = models.JSONField()
    label = models.CharField("deed", max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    worth_credits = models.BigIntegerField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("exceed_limits", "Act alone beyond the limits of a deed and a day")]
        constraints = [
            models.UniqueConstraint(
                fields=["page", "action", "object_id", "press"], name="deed_is_asked_for_once"
            ),
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None, decided_by=None)
                | ~Q(state="open") & Q(decided_at__isnull=False, decided_by__isnull=False),
                name="decision_has_a_person",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "refused"]) | ~Q(decided_by=F("asked_by")),
                name="approval_takes_a_second_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}, asked for by {self.asked_by}"

    def is_open(self) -> bool:
        """Tell whether it can still be approved."""
        return self.state == self.State.OPEN and timezone.now() < self.expires_at

    def shown_state(self) -> str:
        """Return its state in a word; one that nobody decided in time has expired."""
        is_late = self.state == self.State.OPEN and not self.is_open()
        return "expired" if is_late else str(self.get_state_display()).lower()


def open_now() -> Q:
    """Return the condition of what can still be approved."""
    return Q(state=Approval.State.OPEN, expires_at__gt=Now())
