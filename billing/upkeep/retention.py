"""Delete what may go and is old: one table says what, by which setting, and what of it stays.

Quarters of an hour of roll-ups go by days (`rollups/detail.py`), journals as soon as they are
booked (`adoption.py`). Books are not in it: ledger entries, lots, receipts, orders and what staff
and members did are kept, and most of them PostgreSQL lets nobody delete. What a rebuild, an audit
or a person still needs is kept whatever its age, such as an event that was not processed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from psycopg.sql import SQL, Identifier

from billing.models import (
    Export,
    Notice,
    SignIn,
    StatusSubscription,
    StripeEvent,
    WebhookDelivery,
)
from billing.models.status import LINK_LIFETIME
from billing.rollups.detail import forget_quarters

log = structlog.get_logger(__name__)

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows that may go once they are old: those of a setting's age, if there is one."""

    model: type[Model]
    old: Callable[[datetime], Q]
    # Its days; without one, what is passed is the present instant.
    setting: str = ""
    # PostgreSQL's function that deletes, where the role that serves may not.
    function: str = ""

    def rows(self) -> "QuerySet[Any]":
        """Return what may go now, oldest first."""
        days = timedelta(days=getattr(settings, self.setting)) if self.setting else timedelta(0)
        return self.model._default_manager.filter(self.old(timezone.now() - days)).order_by("pk")


RULES = (
    Rule(
        StripeEvent,
        lambda since: Q(received_at__lt=since, processed_at__isnull=False),
        "STRIPE_EVENT_DAYS",
        function="billing_forget_events",
    ),
    # One that is neither sent nor given up is still to be sent.
    Rule(
        Notice,
        lambda since: Q(created_at__lt=since) & (~Q(sent_at=None) | ~Q(given_up_at=None)),
        "NOTICE_DAYS",
    ),
    # Its retries are over after a day.
    Rule(WebhookDelivery, lambda since: Q(created_at__lt=since), "NOTICE_DAYS"),
    # A browser that is forgotten is a new one the next time, and its user gets a mail.
    Rule(SignIn, lambda since: Q(last_at__lt=since), "SIGN_IN_DAYS"),
    # Its link has ended.
    Rule(StatusSubscription, lambda now: Q(confirmed_at=None, asked_at__lt=now - LINK_LIFETIME)),
    Rule(Export, lambda now: Q(expires_at__lt=now)),
    Rule(Session, lambda now: Q(expire_date__lt=now)),
)


def delete_old(*, batch: int = BATCH) -> int:
    """Delete what may go. Returns how many rows.

    In batches, each a transaction of its own, so that nobody waits for long. Safe to repeat, to run
    at once and to stop anywhere. A row that became young again meanwhile stays.
    """
    return sum(_delete(rule, batch=batch) for rule in RULES) + forget_quarters()


def _delete_rows(rule: Rule, keys: list[Any]) -> int:
    if not rule.function:
        count, _ = rule.rows().filter(pk__in=keys).delete()
        return count
    with connection.cursor() as cursor:
        cursor.execute(SQL("SELECT {}(%s)").format(Identifier(rule.function)), [keys])
        return int(cursor.fetchone()[0])


def _delete(rule: Rule, *, batch: int) -> int:
    deleted = 0
    while keys := list(rule.rows().values_list("pk", flat=True)[:batch]):
        count = _delete_rows(rule, keys)
        deleted += count
        if len(keys) < batch or not count:
            break
    if deleted:
        log.info("old_rows_deleted", table=rule.model._meta.db_table, rows=deleted)
    return deleted
