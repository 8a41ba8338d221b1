"""Pausing providers at the desk, and taking them up again."""

from django.db.models import Q

from accounts.desk import columns
from accounts.desk.actions import Asked, StaffAction
from accounts.desk.filters import ConditionFilter
from proxy.models import Provider
from proxy.upstreams.providers.pausing import pause, resume


class StateFilter(ConditionFilter):
    title = "state"
    conditions = {
        "used": ("Used", Q(is_active=True, paused_at=None)),
        "paused": ("Paused", Q(paused_at__isnull=False)),
        "off": ("Switched off", Q(is_active=False)),
    }


def apply_pause(asked: Asked[Provider]) -> str:
    was_used = pause(asked.obj, asked.reason)
    return (
        "No new request goes there. Health tells when it is drained."
        if was_used
        else "It was paused already."
    )


def apply_resume(asked: Asked[Provider]) -> str:
    return "Requests go there again." if resume(asked.obj) else "It was not paused."


PAUSE = StaffAction[Provider](
    name="pause",
    label="Pause",
    explanation="No new request goes there, from a few seconds on; those under way end as they"
    " would, and Health shows how many there are until it is drained. Its models stay on sale:"
    " other providers serve them, or requests are told to try again later (503).",
    apply=apply_pause,
    refusal=lambda provider: "It is paused." if provider.paused_at else "",
)
RESUME = StaffAction[Provider](
    name="resume",
    label="Resume",
    explanation="Requests go there again, from a few seconds on.",
    apply=apply_resume,
    refusal=lambda provider: "" if provider.paused_at else "It is not paused.",
)


def state_of(provider: Provider) -> str:
    """Say whether a provider gets requests, and if not, why."""
    if provider.paused_at is not None:
        return columns.state("paused", "waiting")
    return columns.state("used", "good") if provider.is_active else columns.state("off", "quiet")
