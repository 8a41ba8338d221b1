"""The exception inbox: what a person has to look at."""

from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.exceptions import MissingReason
from billing.models import InboxItem

log = structlog.get_logger(__name__)

# The kinds that staff and their program are told about: money or service is being lost.
URGENT = frozenset(
    {
        "audit_finding",
        "checkout_refused",
        "event_not_booked",
        "hold_stuck",
        "key_write_offs",
        "margin_negative",
        "order_mismatch",
        "payment_without_order",
        "provider_balance_low",
        "provider_key_ejected",
        "provider_quota",
        "stripe_difference",
        "stripe_event_failing",
    }
)


def file_item(
    *, kind: str, reference: str, summary: str, detail: dict[str, Any] | None = None
) -> tuple[InboxItem, bool]:
    """File a finding for a person and alert. Returns the item and whether it is new.

    Safe to repeat: the same finding is filed once.
    """
    item, is_new = InboxItem.objects.get_or_create(
        kind=kind,
        reference=reference,
        defaults={"summary": summary[:300], "detail": detail or {}},
    )
    if is_new:
        log.error("inbox_item_filed", kind=kind, reference=reference, summary=summary)
    return item, is_new


def file_items(items: list[InboxItem]) -> None:
    """File many findings in the caller's transaction, and alert once it commits. Safe to repeat."""
    if not items:
        return
    InboxItem.objects.bulk_create(items, ignore_conflicts=True)
    transaction.on_commit(lambda: _alert(items))


def _alert(items: list[InboxItem]) -> None:
    for item in items:
        log.error(
            "inbox_item_filed", kind=item.kind, reference=item.reference, summary=item.summary
        )


def count_open_items() -> int:
    """Return how many findings wait for a person."""
    return InboxItem.objects.filter(resolved_at=None).count()


def resolve_item(item: InboxItem, *, actor: User, resolution: str) -> bool:
    """Close a finding with a word on what was done. Returns False if it was closed before.

    Raises MissingReason if the word is missing.
    """
    word = resolution.strip()[:300]
    if not word:
        raise MissingReason("A word on what was done is required.")
    open_items = InboxItem.objects.filter(pk=item.pk, resolved_at=None)
    return open_items.update(resolved_at=timezone.now(), resolved_by=actor, resolution=word) == 1


def assign_item(item: InboxItem, person: User | None) -> bool:
    """Say who looks after a finding, or with None that nobody does. False if it is closed."""
    open_items = InboxItem.objects.filter(pk=item.pk, resolved_at=None)
    return open_items.update(assigned_to=person) == 1
