"""The page of margins: what requests brought in and cost, by what staff choose."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.desk.pages import desk_page
from accounts.models import ApiKey
from billing.margin.rates import COST_CURRENCY
from billing.margin.reads import GROUPS, Margin, read_first, read_margins, total_of
from billing.models import Wallet
from billing.statements.csv_file import safe_cell
from common.downloads import as_download

PERIODS = ("7", "1", "30", "90")
MOST_ROWS = 200
TITLES = {
    "day": "Day",
    "model": "Model",
    "provider": "Provider",
    "customer": "Customer",
    "key": "API key",
}
LOWEST = Decimal("-Infinity")
# What rows can be sorted by, and how each column reads.
COLUMNS: dict[str, tuple[str, Callable[[Margin], Any]]] = {
    "requests": ("Requests", lambda row: row.requests),
    "credits": ("Credits charged", lambda row: row.charged_credits),
    "written-off": ("Written off", lambda row: row.write_off_credits),
    "income": ("Income", lambda row: row.income),
    "cost": ("Cost", lambda row: row.cost),
    "margin": ("Margin", lambda row: row.margin),
    "share": (
        "Share",
        lambda row: LOWEST if row.share_percent is None else row.share_percent,
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; anything unknown in it is the default."""

    by: str
    days: int
    sort: str

    @classmethod
    def read(cls, request: HttpRequest) -> "Asked":
        by, days = request.GET.get("by", ""), request.GET.get("days", "")
        by = by if by in GROUPS else "day"
        sort = request.GET.get("sort", "")
        is_known = sort.removeprefix("-") in (*COLUMNS, "name")
        default = "-name" if by == "day" else "-income"
        return cls(by, int(days if days in PERIODS else PERIODS[0]), sort if is_known else default)

    def url(self, **changes: Any) -> str:
        return "?" + urlencode({"by": self.by, "days": self.days, "sort": self.sort, **changes})

    def sort_url(self, name: str) -> str:
        """Return where the rows are in the order of a column, the highest first at first."""
        return self.url(sort=name if self.sort == f"-{name}" else f"-{name}")

    def read_all(self, by: str = "") -> list[Margin]:
        """Return all rows."""
        today = timezone.now().date()
        since = today - timedelta(days=self.days - 1)
        return read_margins(by or self.by, since=since, until=today)

    def read_shown(self) -> tuple[list[Margin], int, Margin]:
        """Return the rows that the page shows, how many there are, and their total."""
        _, is_of_site = GROUPS[self.by]
        if is_of_site:
            rows = self.arrange(self.read_all())
            return rows[:MOST_ROWS], len(rows), total_of(rows)
        # Those of the site are the same requests, and few rows.
        total = total_of(self.read_all("model"))
        today = timezone.now().date()
        shown, count = read_first(
            self.by,
            since=today - timedelta(days=self.days - 1),
            until=today,
            order=self.sort,
            most=MOST_ROWS,
            currencies=total.sold_micros,
        )
        return shown, count, total

    def arrange(self, rows: list[Margin]) -> list[Margin]:
        """Return the rows in the order that was asked for."""
        name = self.sort.removeprefix("-")
        key = attrgetter("group") if name == "name" else COLUMNS[name][1]
        return sorted(rows, key=key, reverse=self.sort.startswith("-"))


def show_margin(request: HttpRequest) -> HttpResponse:
    """Show what requests brought in and cost in the last days, or answer with it as a file."""
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    asked = Asked.read(request)
    if request.GET.get("as") == "csv":
        return export(asked.arrange(asked.read_all()), asked)
    shown, count, total = asked.read_shown()
    names = name_groups(asked.by, shown)
    return desk_page(
        request,
        "admin/billing/margin.html",
        title="Margin",
        asked=asked,
        rows=[(*names[row.group], row) for row in shown],
        total=total,
        left_out=count - len(shown),
        currency=COST_CURRENCY,
        group_title=TITLES[asked.by],
        groups=[(name, title, asked.url(by=name, sort="")) for name, title in TITLES.items()],
        periods=[(int(days), asked.url(days=days)) for days in sorted(PERIODS, key=int)],
        columns=[
            (name, title, asked.sort_url(name), asked.sort.removeprefix("-") == name)
            for name, title in (
                ("name", TITLES[asked.by]),
                *((name, title) for name, (title, _) in COLUMNS.items()),
            )
        ],
        csv_url=asked.url(**{"as": "csv"}),
    )


def name_groups(by: str, rows: Iterable[Margin]) -> dict[Any, tuple[str, str]]:
    """Return what each group is called, and the page about it."""
    groups = [row.group for row in rows]
    if by == "customer":
        wallets = Wallet.objects.select_related("team__person").in_bulk(groups)
        return {pk: (str(each.team), _page("billing_wallet", pk)) for pk, each in wallets.items()}
    if by == "key":
        keys = ApiKey.objects.select_related("team__person").in_bulk(groups)
        return {
            pk: (f"{each.name} ({each.hint}) of {each.team}", _page("accounts_apikey", pk))
            for pk, each in keys.items()
        }
    return {group: (f"{group:%Y-%m-%d}" if by == "day" else group or "–", "") for group in groups}


def _page(name: str, pk: int) -> str:
    return reverse(f"admin:{name}_change", args=[pk])


def export(rows: list[Margin], asked: Asked) -> HttpResponse:
    """Answer with all rows as a file. What was sold in each currency is in millionths."""
    names = name_groups(asked.by, rows)
    currencies = sorted({currency for row in rows for currency in row.sold_micros})
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    unit = COST_CURRENCY.upper()
    writer.writerow(
        [
            TITLES[asked.by],
            "Requests",
            "Credits charged",
            "Credits written off",
            *(f"Sold for, millionths of {each.upper()}" for each in currencies),
            f"Income, {unit}",
            f"Cost, {unit}",
            f"Margin, {unit}",
            "Requests of unknown income",
            "Requests of unknown cost",
            "Currencies without a rate",
        ]
    )
    for row in rows:
        writer.writerow(
            [
                safe_cell(names[row.group][0]),
                row.requests,
                row.charged_credits,
                row.write_off_credits,
                *(row.sold_micros.get(each, 0) for each in currencies),
                *(f"{amount:f}" for amount in (row.income, row.cost, row.margin)),
                row.unknown_income_requests,
                row.unpriced_requests,
                " ".join(sorted(row.unrated)),
            ]
        )
    return as_download(
        file.getvalue(),
        name=f"margin-by-{asked.by}-{asked.days}-days.csv",
        content_type="text/csv; charset=utf-8",
    )
