"""The sums and lists on a wallet's page at the desk. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, Sum
from django.utils import timezone

from accounts.audit import Said, read_said
from accounts.desk.charts import Chart, count_of, make_chart
from accounts.models import ApiKey, AuditLine, Membership, TeamEvent
from billing.keys.refusals import Refused, find_refusals
from billing.ledger.credits import ORDER_OF_USE
from billing.models import (
    KeySpending,
    LedgerEntry,
    Lot,
    Notice,
    Order,
    StaffNote,
    UsageRecord,
    Wallet,
)
from billing.rollups.periods import Step, between
from billing.rollups.reads import Used, sum_by_model, sum_by_step
from common import money

RECENT = 10
SPENDING_DAYS = 30


def sum_by_kind(wallet: Wallet) -> Sequence[Mapping[str, Any]]:
    """Return every kind of entry with its sum; the sums add up to posted.

    What keys spent is the sum of the entries of usage, of which there are too many to add up.
    """
    others = wallet.entries.exclude(kind=LedgerEntry.Kind.USAGE).order_by("kind")
    found = list(others.values("kind").annotate(amount_credits=Sum("amount_credits")))
    spent = KeySpending.objects.filter(api_key__team=wallet.team_id).aggregate(
        credits=Sum("charged_credits", default=0)
    )["credits"]
    if spent:
        found.append({"kind": LedgerEntry.Kind.USAGE.value, "amount_credits": -spent})
    return sorted(found, key=lambda total: total["kind"])


def recent_entries(wallet: Wallet) -> QuerySet[LedgerEntry]:
    return wallet.entries.select_related("actor")[:RECENT]


def open_lots(wallet: Wallet) -> QuerySet[Lot]:
    """Return the lots with something left, the next to be spent first."""
    return wallet.lots.filter(remaining_credits__gt=0).order_by(*ORDER_OF_USE)[:RECENT]


def recent_usage(wallet: Wallet) -> QuerySet[UsageRecord]:
    return wallet.usage_records.all()[:RECENT]


def spending_by_model(wallet: Wallet) -> Sequence[Mapping[str, Any]]:
    """Return what each key spent on each model in SPENDING_DAYS, the most first."""
    used = sum_by_model(wallet, days=SPENDING_DAYS)
    most = sorted(used.items(), key=lambda item: -item[1].charged_credits)[:RECENT]
    names = ApiKey.objects.in_bulk({key_id for (key_id, _), _ in most})
    return [
        {
            "model_name": model_name,
            "key_id": key_id,
            "key_name": names[key_id].name,
            "requests": each.requests,
            "prompt": each.prompt_tokens,
            "completion": each.completion_tokens,
            "charged": each.charged_credits,
        }
        for (key_id, model_name), each in most
    ]


def usage_chart(wallet: Wallet) -> Chart:
    """Return what was charged on each of the last SPENDING_DAYS."""
    today = timezone.now().date()
    first = today - timedelta(days=SPENDING_DAYS - 1)
    period = between(first, today, step=Step.DAY, zone=ZoneInfo("UTC"))
    used = sum_by_step(wallet, period)
    figures = []
    for number, start in enumerate(period.starts, 1):
        each = used.get((number,), Used())
        requests = count_of(each.requests, "request")
        text = f"{money.credits(each.charged_credits)} credits, {requests}"
        figures.append((f"{start:%-d %b}", Decimal(each.charged_credits), text))
    return make_chart("Credits charged", "by day, UTC", figures)


def trouble(wallet: Wallet) -> QuerySet[UsageRecord]:
    """Return the last requests that did not end as they should."""
    return wallet.usage_records.exclude(outcome=UsageRecord.Outcome.COMPLETED)[:RECENT]


def refused(wallet: Wallet) -> list[tuple[str, Refused]] | None:
    """Return what was refused in a week, each with its key's name; None without Redis."""
    found = find_refusals(wallet.pk)
    if found is None:
        return None
    keys = ApiKey.objects.in_bulk({each.refusal.api_key_id for each in found})
    return [(str(keys.get(each.refusal.api_key_id, "a key")), each) for each in found]


def recent_orders(wallet: Wallet) -> QuerySet[Order]:
    return Order.objects.filter(team=wallet.team_id)[:RECENT]


def newest_keys(wallet: Wallet) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(team=wallet.team_id)[:RECENT]


def members(wallet: Wallet) -> QuerySet[Membership]:
    found = Membership.objects.filter(team=wallet.team_id).select_related("user")
    return found.order_by("joined_at")[:RECENT]


def recent_mails(wallet: Wallet) -> QuerySet[Notice]:
    people = [seat.user_id for seat in members(wallet)]
    return Notice.objects.filter(user__in=people).select_related("user")[:RECENT]


def notes(wallet: Wallet) -> QuerySet[StaffNote]:
    return wallet.staff_notes.select_related("author")[:RECENT]


def team_trail(wallet: Wallet) -> QuerySet[TeamEvent]:
    return TeamEvent.objects.filter(team=wallet.team_id).select_related("actor")[:RECENT]


def desk_trail(wallet: Wallet) -> list[tuple[AuditLine, Said]]:
    """Return what was done at the desk to this wallet, with what each line tells."""
    done = AuditLine.objects.filter(model="billing.wallet", object_id=str(wallet.pk))
    lines = done.select_related("actor", "person__audit_key")[:RECENT]
    return [(line, read_said(line)) for line in lines]
