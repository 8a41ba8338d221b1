"""Make, change and switch webhooks, and switch those off that take nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import Membership
from accounts.teams.events import Action, note
from accounts.teams.members import lock_seat
from accounts.teams.roles import Deed
from billing.exceptions import InvalidAmount, WebhookUnfit
from billing.models import Notice, Webhook, WebhookDelivery
from billing.notices.low_balance import last_entry_above
from billing.notices.notify import as_fact, notify_members
from billing.notices.webhooks.addresses import check_url
from billing.notices.webhooks.kinds import CHOICES
from billing.notices.webhooks.signatures import make_webhook_secret
from common.credits import MAX_CREDITS
from common.encryption import encrypt_secret

MOST_WEBHOOKS = 10
# For how long deliveries are signed with the secret before, too.
OVERLAP = timedelta(hours=24)
OffReason = Webhook.OffReason


@dataclass(frozen=True, slots=True)
class Choice:
    """What a member wants a webhook to be."""

    url: str
    form: str
    kinds: tuple[str, ...]
    low_balance_credits: int

    @classmethod
    def of(cls, webhook: Webhook) -> "Choice":
        """Return what was chosen of a webhook."""
        kinds = tuple(webhook.kinds)
        return cls(webhook.url, webhook.form, kinds, webhook.low_balance_credits)


@transaction.atomic
def make_webhook(seat: Membership, choice: Choice) -> tuple[Webhook, str]:
    """Make a webhook. Returns it with its secret, which can't be read again.

    Raises NotAllowed, WebhookUnfit, InvalidAmount.
    """
    # Two at once wait for each other here, and are counted one after the other.
    seat = lock_seat(seat, Deed.MANAGE_WEBHOOKS)
    if seat.team.webhooks.count() >= MOST_WEBHOOKS:
        raise WebhookUnfit(
            gettext("There are {most} webhooks already. Remove one first.").format(
                most=MOST_WEBHOOKS
            )
        )
    secret = make_webhook_secret()
    webhook = Webhook(team=seat.team, made_by=seat.user, encrypted_secret=encrypt_secret(secret))
    _apply(webhook, choice)
    note(
        seat.team, Action.WEBHOOK_MADE, actor=seat.user, subject=webhook.host, after=_facts(choice)
    )
    return webhook, secret


@transaction.atomic
def change_webhook(seat: Membership, webhook: Webhook, choice: Choice) -> None:
    """Change a webhook. Safe to repeat. Raises NotAllowed, WebhookUnfit, InvalidAmount."""
    seat = lock_seat(seat, Deed.MANAGE_WEBHOOKS)
    before = Choice.of(webhook)
    if choice == before:
        return
    _apply(webhook, choice)
    note(
        seat.team,
        Action.WEBHOOK_CHANGED,
        actor=seat.user,
        subject=webhook.host,
        before=_facts(before),
        after=_facts(choice),
    )


def choose_kinds(seat: Membership, webhook: Webhook, kinds: Iterable[str]) -> None:
    """Choose what a webhook is sent. Safe to repeat. Raises NotAllowed, WebhookUnfit."""
    change_webhook(seat, webhook, replace(Choice.of(webhook), kinds=tuple(kinds)))


@transaction.atomic
def renew_secret(seat: Membership, webhook: Webhook) -> str:
    """Give a webhook a new secret and return it; for OVERLAP, the old one signs, too."""
    seat = lock_seat(seat, Deed.MANAGE_WEBHOOKS)
    locked = Webhook.objects.select_for_update().get(pk=webhook.pk)
    secret = make_webhook_secret()
    Webhook.objects.filter(pk=webhook.pk).update(
        encrypted_previous=locked.encrypted_secret,
        previous_expires_at=timezone.now() + OVERLAP,
        encrypted_secret=encrypt_secret(secret),
    )
    note(seat.team, Action.WEBHOOK_ROTATED, actor=seat.user, subject=webhook.host)
    return secret


@transaction.atomic
def switch_webhook(seat: Membership, webhook: Webhook, *, is_on: bool) -> None:
    """Switch a webhook on or off, as a member wishes. Safe to repeat. Raises NotAllowed."""
    seat = lock_seat(seat, Deed.MANAGE_WEBHOOKS)
    found = Webhook.objects.filter(pk=webhook.pk)
    changed = (
        found.exclude(off_at=None).update(off_at=None, off_reason="", failing_since=None)
        if is_on
        else _switch_off(found, OffReason.MEMBER)
    )
    if changed:
        states = ({"state": "off"}, {"state": "on"})
        before, after = states if is_on else reversed(states)
        note(
            seat.team,
            Action.WEBHOOK_CHANGED,
            actor=seat.user,
            subject=webhook.host,
            before=before,
            after=after,
        )


@transaction.atomic
def remove_webhook(seat: Membership, webhook: Webhook) -> None:
    """Remove a webhook with all that it was sent. Safe to repeat. Raises NotAllowed."""
    seat = lock_seat(seat, Deed.MANAGE_WEBHOOKS)
    if Webhook.objects.filter(pk=webhook.pk).delete()[0]:
        note(seat.team, Action.WEBHOOK_REMOVED, actor=seat.user, subject=webhook.host)


@transaction.atomic
def switch_off_failing(found: QuerySet[Webhook], reason: Webhook.OffReason) -> None:
    """Switch off, and mail those who manage webhooks. Safe to repeat."""
    for webhook in found.filter(off_at=None).select_related("team__person"):
        now = timezone.now()
        if _switch_off(Webhook.objects.filter(pk=webhook.pk), reason):
            notify_members(
                webhook.team,
                Deed.MANAGE_WEBHOOKS,
                Notice.Kind.WEBHOOK_OFF,
                reference=f"webhook:{webhook.pk}:{int(now.timestamp())}",
                webhook_id=webhook.pk,
                host=webhook.host,
                reason=reason.value,
                failing_since=as_fact(webhook.failing_since or now),
            )


def _switch_off(found: QuerySet[Webhook], reason: Webhook.OffReason) -> int:
    now = timezone.now()
    waiting = WebhookDelivery.objects.filter(webhook__in=found, delivered_at=None, given_up_at=None)
    waiting.update(given_up_at=now)
    return found.filter(off_at=None).update(off_at=now, off_reason=reason)


def _apply(webhook: Webhook, choice: Choice) -> None:
    """Save what was chosen. Raises WebhookUnfit, InvalidAmount."""
    if not 0 < choice.low_balance_credits <= MAX_CREDITS:
        raise InvalidAmount(gettext("The threshold must be at least 1 credit."))
    if unknown := set(choice.kinds) - {each.name for each in CHOICES}:
        raise WebhookUnfit(gettext("Unknown: {kinds}").format(kinds=", ".join(sorted(unknown))))
    is_new = webhook.pk is None
    if is_new or webhook.low_balance_credits != choice.low_balance_credits:
        webhook.armed_by = last_entry_above(webhook.team, choice.low_balance_credits)
    if is_new or webhook.url != choice.url:
        webhook.url = str(check_url(choice.url))
    webhook.form = choice.form
    webhook.kinds = list(choice.kinds)
    webhook.low_balance_credits = choice.low_balance_credits
    columns = ["url", "form", "kinds", "low_balance_credits", "armed_by"]
    webhook.save(update_fields=None if is_new else columns)


def _facts(choice: Choice) -> dict[str, object]:
    return {
        "form": choice.form,
        "kinds": ", ".join(choice.kinds),
        "low_balance_credits": choice.low_balance_credits,
    }
