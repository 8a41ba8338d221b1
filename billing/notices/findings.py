"""Mail staff about urgent findings: one mail for all that are new, so that a flood is one mail.

A finding is marked before its mail is sent, and unmarked if that failed. A process that dies in
between has told nobody; the inbox still shows it, and so do the metrics.
"""

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from billing.ledger.inbox import URGENT
from billing.models import InboxItem

log = structlog.get_logger(__name__)

MOST_NAMED = 20


def mail_findings() -> int:
    """Mail the urgent findings that nobody was mailed about. Returns how many.

    Raises the mail server's error; the next sweep tries again.
    """
    if not settings.INBOX_MAIL_TO:
        return 0
    items = _claim()
    if not items:
        return 0
    try:
        send_mail(_subject(items), _text(items), None, settings.INBOX_MAIL_TO)
    except Exception:
        InboxItem.objects.filter(pk__in=[item.pk for item in items]).update(mailed_at=None)
        raise
    log.info("findings_mailed", count=len(items))
    return len(items)


@transaction.atomic
def _claim() -> list[InboxItem]:
    new = InboxItem.objects.filter(kind__in=URGENT, mailed_at=None, resolved_at=None)
    items = list(new.select_for_update(skip_locked=True).order_by("pk"))
    InboxItem.objects.filter(pk__in=[item.pk for item in items]).update(mailed_at=timezone.now())
    return items


def _subject(items: list[InboxItem]) -> str:
    name = items[0].kind.replace("_", " ")
    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    return f"[{settings.SITE_NAME}] {name}{more}"


def _text(items: list[InboxItem]) -> str:
    lines = [
        f"{item.summary}\n{settings.SITE_URL}"
        f"{reverse('admin:billing_inboxitem_change', args=[item.pk])}"
        for item in items[:MOST_NAMED]
    ]
    if len(items) > MOST_NAMED:
        lines.append(f"… and {len(items) - MOST_NAMED} more in the inbox.")
    return "\n\n".join(lines) + "\n"
