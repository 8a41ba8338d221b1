"""The exception inbox: what a person has to look at."""

from typing import Any

import structlog

from billing.models import InboxItem

log = structlog.get_logger(__name__)


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
