"""A wallet's requests as its members see them: which ones, in pages, and what they add up to."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import ApiKey, Membership, User
from accounts.teams.roles import Deed, may
from billing.models import UsageRecord, Wallet
from billing.rollups.reads import Used

PAGE_SIZE = 25
# What is chosen by the columns of a roll-up is added up from those, the rest one by one.
MOST_ADDED_UP = 100_000
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which requests of a wallet. What is not set chooses all."""

    api_key: ApiKey | None = None
    model_name: str = ""
    # Whose keys they were sent with.
    made_by: User | None = None
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None
    # These are not in a roll-up.
    is_parked: bool = False
    request_id: str = ""
    least_credits: int | None = None
    most_credits: int | None = None

    @property
    def is_of_roll_ups(self) -> bool:
        """Tell whether roll-ups can say what the chosen requests add up to."""
        credits = (self.least_credits, self.most_credits)
        return not (self.is_parked or self.request_id) and credits == (None, None)

    @property
    def where(self) -> Q:
        """Return the condition by what roll-ups and receipts both have, but for the time."""
        columns = {
            "api_key": self.api_key,
            "model_name": self.model_name,
            "api_key__created_by": self.made_by,
            "outcome": self.outcome,
        }
        return Q(**{name: value for name, value in columns.items() if value})

    def records(self, wallet: Wallet) -> QuerySet[UsageRecord]:
        """Return the receipts that are chosen."""
        columns = {
            "ended_at__gte": self.since,
            "ended_at__lt": self.until,
            "source": UsageRecord.Source.PARKED if self.is_parked else None,
            "request_id": self.request_id or None,
            "charged_credits__gte": self.least_credits,
            "charged_credits__lte": self.most_credits,
        }
        given = {name: value for name, value in columns.items() if value is not None}
        return UsageRecord.objects.filter(self.where, wallet=wallet, **given)


EVERYTHING = UsageFilter()


@dataclass(frozen=True, slots=True)
class UsagePage:
    """One page of records, newest first. `next_before` is the cursor of the page after it."""

    records: list[UsageRecord]
    next_before: int | None


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
    chosen: UsageFilter = EVERYTHING,
    *,
    before: int | None = None,
    size: int = PAGE_SIZE,
) -> UsagePage:
    """Return the chosen records older than the cursor `before`, newest first."""
    records = chosen.records(wallet).select_related("api_key").order_by("-pk")
    if before is not None:
        records = records.filter(pk__lt=before)
    # One record more than the page shows tells whether there is a next page.
    found = list(records[: size + 1])
    page = found[:size]
    return UsagePage(page, page[-1].pk if len(found) > size else None)


def add_up_one_by_one(wallet: Wallet, chosen: UsageFilter) -> Used:
    """Return what the chosen requests add up to; beyond MOST_ADDED_UP, the newest ones alone."""
    newest = chosen.records(wallet).order_by("-pk").values("pk")[:MOST_ADDED_UP]
    sums = UsageRecord.objects.filter(pk__in=newest).aggregate(
        count=Count("pk"),
        charged=Sum("charged_credits", default=0),
        prompt=Sum("prompt_tokens", default=0),
        completion=Sum("completion_tokens", default=0),
    )
    return Used(sums["count"], sums["charged"], sums["prompt"], sums["completion"])


def chunks_of(wallet: Wallet, chosen: UsageFilter) -> Iterator[list[UsageRecord]]:
    """Return all chosen records, newest first; each chunk is a query of its own."""
    before = None
    while True:
        page = read_usage_page(wallet, chosen, before=before, size=CHUNK)
        yield page.records
        before = page.next_before
        if before is None:
            return
