"""Sum up the month that is over: a mail on the first, by the reader's clock, and one delivery for
each webhook that wants it, by the clock of whoever made it.

The reference names team and month, so that sweeps may look as often as they like. A worker that
was away catches up until the third. Who spent and bought nothing in two months gets nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from accounts.models import ApiKey, Membership, Team, User
from accounts.teams.roles import ALLOWED, Deed
from accounts.time_zones import UTC, zone_names
from billing.ledger.wallets import get_wallet
from billing.models import Notice, NotificationSettings, Order, UsageRollUp, WebhookDelivery
from billing.notices.notify import notify
from billing.notices.webhooks.deliveries import webhooks_that_want, write_delivery
from billing.notices.webhooks.kinds import MONTHLY
from billing.rollups.periods import Period, Step, midnight
from billing.rollups.reads import sum_by_step

LAST_DAY = 3
# The last receipts of a month are booked and rolled up by then.
AFTER = timedelta(hours=1)
MOST_TIME_S = 60
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Months:
    """The month that is over in a time zone, and the one before it: three instants."""

    zone: ZoneInfo
    before: datetime
    starts_at: datetime
    ends_at: datetime

    @property
    def name(self) -> str:
        """Return such as 2026-02."""
        return f"{self.starts_at.astimezone(self.zone):%Y-%m}"


def notify_monthly_summaries() -> int:
    """Write down the summaries that are due. Returns how many teams' members and webhooks got one.

    Safe to repeat and to run at once.
    """
    until, count = time.monotonic() + MOST_TIME_S, 0
    for zone, is_of_zone in _zones():
        months = months_before(timezone.now(), zone)
        if months is None:
            continue
        for seat in _seats(months, is_of_zone("user")):
            count += _notify(seat, months)
            if time.monotonic() > until:
                return count
        count += _announce(months, is_of_zone("made_by"))
    return count


def months_before(now: datetime, zone: ZoneInfo) -> Months | None:
    """Return the months to sum up; None unless one has just ended in this zone."""
    first = now.astimezone(zone).date().replace(day=1)
    ends_at = midnight(first, zone)
    if not ends_at + AFTER <= now < midnight(first + timedelta(days=LAST_DAY), zone):
        return None
    last = _month_before(first)
    return Months(zone, midnight(_month_before(last), zone), midnight(last, zone), ends_at)


def sum_up(team: Team, months: Months) -> dict[str, Any]:
    """Return what a team spent and bought in a month, and spent in the one before."""
    wallet = get_wallet(team)
    period = Period(Step.DAY, months.zone, (months.before, months.starts_at), months.ends_at)
    by_model, by_key = (sum_by_step(wallet, period, by=by) for by in ("model", "key"))
    keys = {key.pk: key for key in ApiKey.objects.filter(team=team)}
    used = [each for (step, _), each in by_model.items() if step == 2]
    return {
        "month": months.name,
        "charged_credits": sum(each.charged_credits for each in used),
        "requests": sum(each.requests for each in used),
        "before_credits": sum(
            each.charged_credits for (step, _), each in by_model.items() if step == 1
        ),
        "posted_credits": wallet.posted_credits,
        "by_model": [
            {"name": name, "charged_credits": charged} for name, charged in _most(by_model)
        ],
        "by_key": [
            {"name": keys[pk].name, "hint": keys[pk].hint, "charged_credits": charged}
            for pk, charged in _most(by_key)
            if pk in keys
        ],
        "orders": list(_orders(team, months)),
    }


def _zones() -> Iterator[tuple[ZoneInfo, Any]]:
    """Yield each zone that people chose, and what finds them; those who chose none are in UTC."""
    chosen = set(User.objects.filter(is_active=True).values_list("time_zone", flat=True).distinct())
    known = chosen & set(zone_names()) - {"UTC"}
    yield UTC, lambda user: ~Q(**{f"{user}__time_zone__in": sorted(known)})
    for name in sorted(known):
        yield ZoneInfo(name), lambda user, name=name: Q(**{f"{user}__time_zone": name})


def _seats(months: Months, of_zone: Q) -> Iterator[Membership]:
    """Yield the seats whose holders want a summary that they do not have yet."""
    has_one = Notice.objects.filter(
        kind=Notice.Kind.MONTHLY_SUMMARY,
        user=OuterRef("user"),
        reference=Concat(
            Cast(OuterRef("team"), CharField()), Value(f":{months.name}"), output_field=CharField()
        ),
    )
    unwanted = NotificationSettings.objects.filter(
        team=OuterRef("team"), user=OuterRef("user"), wants_monthly_summary=False
    )
    return (
        Membership.objects.filter(
            of_zone,
            _was_busy(months, "team"),
            ~Exists(has_one),
            ~Exists(unwanted),
            role__in=ALLOWED[Deed.GET_MONEY_MAIL],
            user__is_active=True,
            team__closed_at=None,
        )
        .select_related("team__person", "user")
        .order_by("pk")
        .iterator()
    )


def _was_busy(months: Months, team: str) -> Exists:
    used = UsageRollUp.objects.filter(
        wallet__team=OuterRef(team), starts_at__gte=months.before, starts_at__lt=months.ends_at
    )
    bought = Order.objects.filter(
        team=OuterRef(team), fulfilled_at__gte=months.starts_at, fulfilled_at__lt=months.ends_at
    )
    return Exists(used) | Exists(bought)  # type: ignore[return-value]


def _notify(seat: Membership, months: Months) -> bool:
    facts = sum_up(seat.team, months)
    reference = f"{seat.team_id}:{months.name}"
    kind = Notice.Kind.MONTHLY_SUMMARY
    return notify(seat.user, kind, team=seat.team, reference=reference, **facts) is not None


def _announce(months: Months, of_zone: Q) -> int:
    has_one = WebhookDelivery.objects.filter(
        webhook=OuterRef("pk"), kind=MONTHLY, reference=months.name
    )
    due = webhooks_that_want(MONTHLY).filter(
        of_zone, _was_busy(months, "team"), ~Exists(has_one), created_at__lt=months.ends_at
    )
    count = 0
    for webhook in due:
        with transaction.atomic():
            facts = sum_up(webhook.team, months)
            write_delivery(webhook, MONTHLY, reference=months.name, facts=facts)
        count += 1
    return count


def _most(used: dict[tuple[Any, ...], Any]) -> list[tuple[Any, int]]:
    """Return who was charged most in the second step, and how much."""
    charged = [(key, each.charged_credits) for (step, key), each in used.items() if step == 2]
    return sorted(charged, key=lambda each: (-each[1], str(each[0])))[:MOST_NAMED]


def _orders(team: Team, months: Months) -> Iterator[dict[str, Any]]:
    """Yield what was paid in each currency."""
    found = Order.objects.filter(
        team=team, fulfilled_at__gte=months.starts_at, fulfilled_at__lt=months.ends_at
    )
    orders = list(found.order_by(F("currency")))
    for currency in sorted({order.currency for order in orders}):
        paid = [order for order in orders if order.currency == currency]
        yield {
            "currency": currency,
            "amount_cents": sum(order.charged_cents for order in paid),
            "credits": sum(order.credits for order in paid),
        }


def _month_before(first: date) -> date:
    return (first - timedelta(days=1)).replace(day=1)
