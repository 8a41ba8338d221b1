"""What staff say of incidents, told to whoever is mailed of them."""

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.utils import translation

from billing.notices.notify import as_fact
from billing.notices.status.news import notify_subscribers
from common.staff_texts import in_readers_language
from proxy.models import Incident, IncidentUpdate

OTHERS = tuple(code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE)


def publish(
    incident: Incident, *, said: Sequence[IncidentUpdate], is_new: bool, was_over: bool
) -> None:
    """Tell subscribers that an incident began, that more was said of it, or that it is over.

    Does nothing where none of these is so, as when a word was put right.
    """
    incident.refresh_from_db()
    is_over = incident.resolved_at is not None
    if not is_new and not said and is_over == was_over:
        return
    facts = {
        "incident_id": incident.pk,
        "is_over": is_over,
        "started_at": as_fact(incident.started_at),
        "resolved_at": as_fact(incident.resolved_at),
        "updates": [_in_all(_say_update, update) for update in said],
        **_in_all(_say_incident, incident),
    }
    names = sorted(incident.affected.values_list("name", flat=True))
    notify_subscribers(facts=facts, model_names=names)


def _say_incident(incident: Incident) -> dict[str, str]:
    title, _ = in_readers_language(incident, "title")
    return {"title": title, "impact": incident.get_impact_display()}


def _say_update(update: IncidentUpdate) -> dict[str, str]:
    text, _ = in_readers_language(update, "text")
    return {"state": update.get_state_display(), "text": text}


def _in_all(say: Callable[[Any], dict[str, str]], row: Model) -> dict[str, str]:
    """Return words in English, and in each other language with its code after their names."""
    with translation.override(settings.LANGUAGE_CODE):
        words = {name: str(text) for name, text in say(row).items()}
    for code in OTHERS:
        with translation.override(code):
            words |= {f"{name}_{code}": str(text) for name, text in say(row).items()}
    return words
