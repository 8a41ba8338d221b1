"""Mail about keys that suddenly spend much more than they did: a leaked key burns a balance fast.

A key is told of if its last hour cost more than three times the busiest hour of the week before. So
a job that runs once a day is no spike, and neither is a key that has no week to compare with.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey
from accounts.teams.members import members_who
from accounts.teams.roles import Deed
from billing.models import Notice
from billing.notices.notify import notify
from billing.notices.pause_links import make_pause_link
from billing.notices.webhooks.deliveries import announce
from billing.rollups.quarters import quarter_of
from billing.rollups.reads import busiest_hour, charged_by_key

HOUR = timedelta(hours=1)
COMPARED = timedelta(days=7)
TIMES = 3
# Below this an hour is no loss that is worth a mail.
LEAST_CREDITS = 100_000


def notify_spend_spikes() -> int:
    """Mail about every key whose spending leapt, once a day (UTC). Returns how many there are.

    Safe to repeat and to run at once.
    """
    since = quarter_of(timezone.now()) - HOUR
    spent = charged_by_key(since, least=LEAST_CREDITS)
    keys = ApiKey.objects.filter(pk__in=spent, revoked_at=None, paused_at=None)
    spikes = 0
    for key in keys.select_related("team__person", "created_by"):
        usual = busiest_hour(key, since - COMPARED, since)
        if usual and spent[key.pk] > TIMES * usual:
            _notify(key, spent[key.pk], usual)
            spikes += 1
    return spikes


@transaction.atomic
def _notify(key: ApiKey, spent_credits: int, usual_credits: int) -> None:
    reference = f"key:{key.pk}:{timezone.now():%Y-%m-%d}"
    facts: dict[str, Any] = {
        "key_id": key.pk,
        "name": key.name,
        "hint": key.hint,
        "spent_credits": spent_credits,
        "usual_credits": usual_credits,
    }
    kind = Notice.Kind.SPEND_SPIKE
    with_link = {**facts, "pause_url": make_pause_link(key)}
    announce(key.team, kind, reference=reference, facts=with_link)
    managers = members_who(key.team, Deed.GET_KEY_MAIL)
    for user in {each.pk: each for each in (key.created_by, *managers)}.values():
        notify(user, kind, team=key.team, reference=reference, **facts)
