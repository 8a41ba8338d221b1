"""Post the deliveries that are due, many at once, so that a slow address holds up no other.

Each is posted until it is answered with 2xx, later each time, for about a day, and not before the
instant that an answer's `Retry-After` asks for. A redirect is not followed and the answer's body is
not read. `common/due.py` says how sweeps share the due rows; a process that dies between an answer
and our note of it has the same posted again, with the same id.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import aiohttp
import structlog
from django.db import transaction
from django.utils import timezone

from billing.exceptions import WebhookUnfit
from billing.models import Webhook, WebhookDelivery
from billing.notices.webhooks.addresses import check_url, is_allowed_address
from billing.notices.webhooks.failures import failure_of, words_of
from billing.notices.webhooks.signatures import signed_headers
from billing.notices.webhooks.switches import switch_off_failing
from common.due import NO_TIME, RetriedRows
from common.encryption import InvalidToken
from common.outside import CheckedResolver
from common.retry_after import parse_retry_after

# From the first byte sent to the head of the answer.
TIMEOUT_S = 10
MOST_AT_ONCE = 32
# Of one team, so that many webhooks of one that hang leave room for all others.
MOST_OF_A_TEAM = 4
# How long a sweep takes up new ones, and how often it looks for them while some are under way.
MOST_TIME_S = 30
LOOK_EVERY_S = 0.5
DELIVERIES = RetriedRows(
    WebhookDelivery.objects.filter(delivered_at=None, given_up_at=None),
    lease=timedelta(minutes=2),
    first_pause=timedelta(minutes=1),
    longest_pause=timedelta(hours=6),
    # Spread over about a day.
    alarming_attempts=12,
)
# A webhook that took nothing for so long is switched off once a delivery is given up.
LONGEST_FAILURE = timedelta(days=3)
# What keeps an attempt from being answered; anything else is a fault of ours.
EXPECTED = (
    TimeoutError,
    aiohttp.ClientError,
    OSError,
    ValueError,
    WebhookUnfit,
    InvalidToken,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt. Without a status there was no answer, and `failure` says why."""

    status_code: int | None
    latency_ms: int
    failure: str = ""
    # The system's own words for it.
    error: str = ""
    retry_after: timedelta = NO_TIME

    @property
    def is_taken(self) -> bool:
        """Tell whether the receiver has it."""
        return self.status_code is not None and 200 <= self.status_code < 300


def post_due_deliveries() -> int:
    """Post the deliveries that are due. Returns how many were tried. Safe to run at once."""
    tried, until = 0, time.monotonic() + MOST_TIME_S
    if not DELIVERIES.due().exists():
        return 0
    with asyncio.Runner() as runner:
        session = runner.run(_open_session())
        flying: dict[asyncio.Task[Answer], WebhookDelivery] = {}
        try:
            while True:
                for delivery in _take(flying.values()) if time.monotonic() < until else ():
                    flying[runner.get_loop().create_task(_post(session, delivery))] = delivery
                if not flying:
                    return tried
                for task in runner.run(_wait(flying)):
                    tried += 1
                    _note(flying.pop(task), task.result())
        finally:
            runner.run(session.close())


def _take(flying: Collection[WebhookDelivery]) -> list[WebhookDelivery]:
    """Claim due deliveries: one of each webhook, and few of a team, at a time."""
    of_teams = Counter(each.webhook.team_id for each in flying)
    busy = {each.webhook_id for each in flying}
    due = DELIVERIES.due().filter(webhook__off_at=None).exclude(webhook__in=busy)
    full = [team for team, count in of_teams.items() if count >= MOST_OF_A_TEAM]
    taken: list[WebhookDelivery] = []
    for delivery in due.exclude(webhook__team__in=full).select_related("webhook")[:MOST_AT_ONCE]:
        team, room = delivery.webhook.team_id, MOST_AT_ONCE - len(flying) - len(taken)
        if room < 1 or delivery.webhook_id in busy or of_teams[team] >= MOST_OF_A_TEAM:
            continue
        if DELIVERIES.claim(delivery):
            busy.add(delivery.webhook_id)
            of_teams[team] += 1
            taken.append(delivery)
    return taken


async def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=CheckedResolver(is_allowed_address), use_dns_cache=False, force_close=True
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        headers={"Content-Type": "application/json", "User-Agent": "TokenProxy-Webhooks"},
    )


async def _wait(tasks: Collection[asyncio.Task[Answer]]) -> set[asyncio.Task[Answer]]:
    done, _ = await asyncio.wait(tasks, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    return done


async def _post(session: aiohttp.ClientSession, delivery: WebhookDelivery) -> Answer:
    began, status, wait_s = time.monotonic(), None, None
    failure, error = "", ""
    try:
        headers = signed_headers(delivery, at=timezone.now())
        async with session.post(
            check_url(delivery.webhook.url),
            data=delivery.body.encode(),
            headers=headers,
            allow_redirects=False,
        ) as answer:
            status = answer.status
            wait_s = parse_retry_after(answer.headers)
    except EXPECTED as problem:
        failure, error = failure_of(problem), words_of(problem)
    latency_ms = round((time.monotonic() - began) * 1_000)
    wait = timedelta(seconds=wait_s or 0)
    return Answer(status, latency_ms, failure=failure, error=error[:200], retry_after=wait)


@transaction.atomic
def _note(delivery: WebhookDelivery, answer: Answer) -> None:
    """Note how an attempt went, and switch a webhook off that took nothing for days."""
    now = timezone.now()
    went = {
        "tried_at": now,
        "status_code": answer.status_code,
        "latency_ms": answer.latency_ms,
        "failure": answer.failure,
        "error": answer.error,
    }
    webhook = Webhook.objects.filter(pk=delivery.webhook_id)
    if answer.is_taken:
        DELIVERIES.open_rows.filter(pk=delivery.pk).update(delivered_at=now, **went)
        webhook.exclude(failing_since=None).update(failing_since=None)
        return
    is_over = DELIVERIES.is_alarming(delivery)
    given_up_at = now if is_over else None
    DELIVERIES.postpone(delivery, at_least=answer.retry_after, given_up_at=given_up_at, **went)
    webhook.filter(failing_since=None).update(failing_since=now)
    log.info("webhook_failed", webhook=delivery.webhook_id, attempts=delivery.attempts)
    if answer.status_code == HTTPStatus.GONE:
        switch_off_failing(webhook, Webhook.OffReason.GONE)
    elif is_over:
        long_since = webhook.filter(failing_since__lte=now - LONGEST_FAILURE)
        switch_off_failing(long_since, Webhook.OffReason.FAILING)
