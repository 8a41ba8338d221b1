"""Tell a program of the operator's about urgent findings: a signed POST for each.

It is repeated, later each time, until it is answered with 2xx or somebody has resolved the finding.
It may arrive twice; its `id` is the same then. The signature is made as Stripe makes its own.
"""

import hashlib
import hmac
import time
from datetime import timedelta
from http import HTTPStatus

import httpx
import orjson
import structlog
from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from billing.ledger.inbox import URGENT
from billing.models import InboxItem
from common.due import RetriedRows

log = structlog.get_logger(__name__)

SIGNATURE = "TokenProxy-Signature"
TIMEOUT_S = 10
# In a sweep.
MOST = 20
POSTS = RetriedRows(
    InboxItem.objects.filter(kind__in=URGENT, resolved_at=None, posted_at=None),
    lease=timedelta(minutes=2),
    first_pause=timedelta(seconds=30),
    longest_pause=timedelta(hours=1),
    alarming_attempts=10,
)


def post_findings() -> int:
    """Post the urgent findings that are due. Returns how many were taken.

    Safe to run at once. Stops at the first that fails: the others stay due.
    """
    if not settings.INBOX_WEBHOOK_URL:
        return 0
    posted = 0
    due: QuerySet[InboxItem] = POSTS.due()[:MOST]
    for item in POSTS.take(due):
        if why := _post(item):
            log.warning("finding_not_posted", item=item.pk, attempts=item.attempts, why=why)
            POSTS.postpone(item)
            break
        InboxItem.objects.filter(pk=item.pk).update(posted_at=timezone.now())
        posted += 1
    return posted


def _post(item: InboxItem) -> str:
    """Post a finding; return why it was not taken, or nothing."""
    body = orjson.dumps(describe(item))
    headers = {"Content-Type": "application/json", SIGNATURE: sign(body, at=int(time.time()))}
    try:
        with httpx.stream(
            "POST", settings.INBOX_WEBHOOK_URL, content=body, headers=headers, timeout=TIMEOUT_S
        ) as answer:
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__
    return "" if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else str(status)


def describe(item: InboxItem) -> dict[str, object]:
    """Return what is told of a finding."""
    page = reverse("admin:billing_inboxitem_change", args=[item.pk])
    return {
        "id": item.pk,
        "kind": item.kind,
        "reference": item.reference,
        "summary": item.summary,
        "filed_at": item.created_at.isoformat(),
        "url": f"{settings.SITE_URL}{page}",
    }


def sign(body: bytes, *, at: int) -> str:
    """Return the header that proves a body to be ours, and of when."""
    signed = b"%d.%b" % (at, body)
    digest = hmac.new(settings.INBOX_WEBHOOK_SECRET.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
