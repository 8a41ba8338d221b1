"""How webhooks and their deliveries do: for the desk, and for figures."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts.models import Team
from billing.models import Webhook, WebhookDelivery
from billing.notices.webhooks.kinds import KINDS

LATEST = 5
# Deliveries are given up after about a day.
COUNTED = timedelta(days=2)
OUTCOMES = {
    "taken": Q(delivered_at__isnull=False),
    "given_up": Q(given_up_at__isnull=False),
    "failing": Q(delivered_at=None, given_up_at=None, tried_at__isnull=False),
    "waiting": Q(delivered_at=None, given_up_at=None, tried_at=None),
}
STATES = {
    "working": Q(off_at=None, failing_since=None),
    "failing": Q(off_at=None, failing_since__isnull=False),
    "off": Q(off_at__isnull=False),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A webhook, and what it was sent last: each delivery with the name of its kind."""

    webhook: Webhook
    deliveries: list[tuple[WebhookDelivery, str]]


def sent_to(team: Team) -> list[Sent]:
    """Return a team's webhooks, each with its latest deliveries. A team has ten at most."""
    return [Sent(webhook, _latest(webhook)) for webhook in team.webhooks.all()]


def _latest(webhook: Webhook) -> list[tuple[WebhookDelivery, str]]:
    found = webhook.deliveries.defer("body")[:LATEST]
    return [
        (each, str(KINDS[each.kind].label) if each.kind in KINDS else each.kind) for each in found
    ]


def kept_waiting() -> QuerySet[WebhookDelivery]:
    """Return the deliveries that are open though their receiver took the one before.

    Those of a receiver that fails wait for it, and not for us.
    """
    still = {"delivered_at": None, "given_up_at": None}
    return WebhookDelivery.objects.filter(
        **still, webhook__off_at=None, webhook__failing_since=None
    )


def count_outcomes() -> dict[str, int]:
    """Return how many of the latest deliveries came to what."""
    recent = WebhookDelivery.objects.filter(created_at__gte=timezone.now() - COUNTED)
    return recent.aggregate(**{name: Count("pk", filter=each) for name, each in OUTCOMES.items()})


def count_states() -> dict[str, int]:
    """Return how many webhooks work, fail, and are off."""
    counted = {name: Count("pk", filter=each) for name, each in STATES.items()}
    return Webhook.objects.aggregate(**counted)
