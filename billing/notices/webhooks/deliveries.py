"""Write down what webhooks are sent, in the transaction that causes it; `posting` sends it."""

from typing import Any
from uuid import uuid4

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Team
from billing.models import Notice, Webhook, WebhookDelivery
from billing.notices.webhooks.bodies import Facts, write_body
from billing.notices.webhooks.kinds import BY_CAUSE, TEST


def announce(team: Team, cause: Notice.Kind, *, reference: str, facts: dict[str, Any]) -> None:
    """Write down a delivery for every webhook that wants to know what is mailed. Safe to repeat."""
    if kind := BY_CAUSE.get(cause):
        for webhook in webhooks_that_want(kind).filter(team=team):
            sent = {**facts, "failure": cause.value}
            write_delivery(webhook, kind, reference=f"{cause}:{reference}", facts=sent)


def webhooks_that_want(kind: str) -> QuerySet[Webhook]:
    """Return the webhooks that are on and are sent this kind."""
    wanting = Webhook.objects.filter(kinds__contains=[kind], off_at=None)
    return wanting.select_related("team", "made_by")


def write_delivery(webhook: Webhook, kind: str, *, reference: str, facts: Facts) -> WebhookDelivery:
    """Write down a delivery. Returns it, or the earlier one of this kind and reference."""
    found = WebhookDelivery.objects.filter(webhook=webhook, kind=kind, reference=reference).first()
    if found is not None:
        return found
    now = timezone.now()
    delivery, _ = WebhookDelivery.objects.get_or_create(
        webhook=webhook,
        kind=kind,
        reference=reference,
        defaults={"body": write_body(webhook, kind, facts, at=now), "created_at": now},
    )
    return delivery


def write_test(webhook: Webhook) -> WebhookDelivery:
    """Write down a delivery that says that it is a test."""
    return write_delivery(webhook, TEST, reference=str(uuid4()), facts={})


def send_again(delivery: WebhookDelivery) -> None:
    """Make a delivery due, whether it was taken or not; the next sweep sends the same once more."""
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        delivered_at=None,
        given_up_at=None,
        attempts=0,
        failure="",
        error="",
        next_attempt_at=timezone.now(),
    )
