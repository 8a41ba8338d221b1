"""How much one member of staff may give or take alone: by deed, and by day."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from accounts.models import AuditLine, User
from common.locks import lock_names

EXCEEDS = "billing.exceed_limits"
DAY = timedelta(days=1)


def why_beyond(actor: User, worth_credits: int) -> str:
    """Return why somebody may not do this alone; empty if they may.

    Locks their limit until the caller's transaction ends, so that of two deeds at once the second
    counts the first.
    """
    if actor.has_perm(EXCEEDS):
        return ""
    lock_names(f"desk limit of {actor.pk}")
    deed, day = settings.DESK_DEED_CREDITS, settings.DESK_DAY_CREDITS
    if worth_credits > deed:
        return f"It is worth {worth_credits:,} credits, and {deed:,} may be one person's deed."
    done = done_alone(actor)
    if done + worth_credits > day:
        return (
            f"With {done:,} credits of the last 24 hours, it is more than the {day:,} of one"
            " person's day."
        )
    return ""


def done_alone(actor: User) -> int:
    """Return what somebody's deeds of the last 24 hours are worth, without approved ones."""
    lines = AuditLine.objects.filter(
        actor=actor, at__gt=timezone.now() - DAY, worth_credits__isnull=False
    )
    return int(lines.aggregate(worth=Sum("worth_credits", default=0))["worth"])
