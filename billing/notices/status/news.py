"""What staff say of incidents, as mails: news are written down, a sweep writes the mails of each.

So the desk does not wait for thousands of rows, and a worker that dies leaves off where another
goes on. `outbox` then sends the mails.
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.languages import is_offered
from billing.models import Notice, StatusNews, StatusSubscription

# A transaction's worth of mails.
BATCH = 500
# How facts in other languages than English end.
ENDINGS = tuple(f"_{code}" for code, _ in settings.LANGUAGES if code != "en")


def notify_subscribers(*, facts: dict[str, Any], model_names: Sequence[str]) -> None:
    """Write down news of an incident, inside the caller's transaction. No names: all models.

    A fact `title` may have its German beside it, as `title_de`; so may the text of each update.
    """
    StatusNews.objects.create(facts=facts, model_names=list(model_names))


def write_incident_mails(*, batch: int = BATCH) -> int:
    """Write the next mails of the oldest news, and return how many. Safe to repeat, and at once."""
    with transaction.atomic():
        news = StatusNews.objects.select_for_update(skip_locked=True).order_by("pk").first()
        if news is None:
            return 0
        readers = list(_readers(news)[:batch])
        Notice.objects.bulk_create(_mail(news, reader) for reader in readers)
        if len(readers) < batch:
            news.delete()
        else:
            news.reached_id = readers[-1].pk
            news.save(update_fields=["reached_id"])
    return len(readers)


def _readers(news: StatusNews) -> QuerySet[StatusSubscription]:
    """Return who is still to be told, in order: who had subscribed when it was said.

    Locked, so that whoever ends a subscription meanwhile finds the mail that was written.
    """
    found = (
        StatusSubscription.objects.select_for_update()
        .filter(confirmed_at__lte=news.said_at, pk__gt=news.reached_id)
        .order_by("pk")
    )
    if not news.model_names:
        return found
    return found.filter(Q(model_names=[]) | Q(model_names__overlap=news.model_names))


def _mail(news: StatusNews, reader: StatusSubscription) -> Notice:
    language = reader.language if is_offered(reader.language) else "en"
    updates = [in_language(update, language) for update in news.facts["updates"]]
    return Notice(
        kind=Notice.Kind.INCIDENT,
        reference=f"{news.pk}:{reader.pk}",
        address=reader.address,
        facts={
            **in_language(news.facts, language),
            "model_names": news.model_names,
            "updates": updates,
            "subscription": str(reader.public_id),
            "language": language,
        },
    )


def in_language(facts: dict[str, Any], language: str) -> dict[str, Any]:
    """Return facts with each text in this language where it has one, else in English."""
    return {
        name: facts.get(f"{name}_{language}") or value
        for name, value in facts.items()
        if not name.endswith(ENDINGS)
    }
