"""A wallet's usage as its owner sees it: pages, totals, days."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ApiKey, Membership, User
from accounts.teams.roles import Deed, may
from billing.models import UsageRecord, Wallet
from billing.rollups.reads import Used, sum_by_day

PAGE_SIZE = 25
CHART_DAYS = 14


@dataclass(frozen=True, slots=True)
class UsagePage:
    """One page of records, newest first. `next_before` is the cursor of the page after it."""

    records: list[UsageRecord]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class DayUsage:
    """What one day cost. `height` is its share of the highest day, in percent."""

    day: date
    charged_credits: int
    requests: int
    height: int

    @property
    def top(self) -> int:
        """Return where the day's bar starts, in percent from above."""
        return 100 - self.height


@dataclass(frozen=True, slots=True)
class RecentUsage:
    """The last days, oldest first, and their sums."""

    days: list[DayUsage]
    charged_credits: int
    requests: int


def maker_seen_by(seat: Membership) -> User | None:
    """Return whose keys' usage a member sees: their own only, or with None everybody's."""
    return None if may(seat, Deed.SEE_ALL_USAGE) else seat.user


def records_of(seat: Membership) -> QuerySet[UsageRecord]:
    """Return the receipts that a member may see."""
    records = UsageRecord.objects.filter(wallet__team=seat.team)
    maker = maker_seen_by(seat)
    return records if maker is None else records.filter(api_key__created_by=maker)


def read_usage_page(
    wallet: Wallet,
    *,
    before: int | None = None,
    api_key: ApiKey | None = None,
    model_name: str = "",
    made_by: User | None = None,
    size: int = PAGE_SIZE,
) -> UsagePage:
    """Return the records older than the cursor `before`, newest first; of one person's keys if
    `made_by` names one.
    """
    records = UsageRecord.objects.filter(wallet=wallet).select_related("api_key").order_by("-pk")
    if before is not None:
        records = records.filter(pk__lt=before)
    if api_key is not None:
        records = records.filter(api_key=api_key)
    if made_by is not None:
        records = records.filter(api_key__created_by=made_by)
    if model_name:
        records = records.filter(model_name=model_name)
    # One record more than the page shows tells whether there is a next page.
    found = list(records[: size + 1])
    page = found[:size]
    return UsagePage(page, page[-1].pk if len(found) > size else None)


def read_recent_usage(wallet: Wallet, *, days: int = CHART_DAYS) -> RecentUsage:
    """Return what each of the last days cost, days without usage included."""
    today = timezone.now().date()
    first = today - timedelta(days=days - 1)
    by_day = sum_by_day(wallet, since=first)
    highest = max((used.charged_credits for used in by_day.values()), default=0)
    listed = []
    for offset in range(days):
        day = first + timedelta(days=offset)
        used = by_day.get(day, Used())
        height = -(-100 * used.charged_credits // highest) if highest else 0
        listed.append(DayUsage(day, used.charged_credits, used.requests, height))
    return RecentUsage(
        listed, sum(day.charged_credits for day in listed), sum(day.requests for day in listed)
    )
