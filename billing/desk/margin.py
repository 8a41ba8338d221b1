"""The page of margins: what requests brought in and cost, by what staff choose."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.desk.pages import desk_page
from billing.desk.exports import start_url
from billing.margin.names import TITLES, name_groups, name_own
from billing.margin.ordered import arrange, choose_order, read_first
from billing.margin.own import read_own
from billing.margin.rates import COST_CURRENCY
from billing.margin.reads import GROUPS, Margin, read_margins, total_of

PERIODS = ("7", "1", "30", "90")
MOST_ROWS = 200
COLUMNS = {
    "requests": "Requests",
    "credits": "Credits charged",
    "written-off": "Written off",
    "income": "Income",
    "cost": "Cost",
    "margin": "Margin",
    "share": "Share",
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
        sort = choose_order(by, request.GET.get("sort", ""))
        return cls(by, int(days if days in PERIODS else PERIODS[0]), sort)

    def url(self, **changes: Any) -> str:
        return "?" + urlencode({"by": self.by, "days": self.days, "sort": self.sort, **changes})

    def sort_url(self, name: str) -> str:
        """Return where the rows are in the order of a column, the highest first at first."""
        return self.url(sort=name if self.sort == f"-{name}" else f"-{name}")

    def read_all(self, by: str = "") -> list[Margin]:
        """Return all rows."""
        return read_margins(by or self.by, **self.period())

    def period(self) -> dict[str, date]:
        """Return the first and the last day."""
        today = timezone.now().date()
        return {"since": today - timedelta(days=self.days - 1), "until": today}

    def export_query(self) -> str:
        """Return what an export of these rows is asked for with."""
        days = {name: f"{day}" for name, day in self.period().items()}
        return urlencode({**days, "sort": self.sort})

    def read_shown(self) -> tuple[list[Margin], int, Margin]:
        """Return the rows that the page shows, how many there are, and their total."""
        _, is_of_site = GROUPS[self.by]
        if is_of_site:
            rows = arrange(self.read_all(), self.sort)
            return rows[:MOST_ROWS], len(rows), total_of(rows)
        # Those of the site are the same requests, and few rows.
        total = total_of(self.read_all("model"))
        shown, count = read_first(
            self.by,
            **self.period(),
            order=self.sort,
            most=MOST_ROWS,
            currencies=total.sold_micros,
        )
        return shown, count, total


def show_margin(request: HttpRequest) -> HttpResponse:
    """Show what requests brought in and cost in the last days."""
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    asked = Asked.read(request)
    shown, count, total = asked.read_shown()
    names = name_groups(asked.by, shown)
    own = read_own(asked.by, **asked.period())
    return desk_page(
        request,
        "admin/billing/margin.html",
        title="Margin",
        asked=asked,
        rows=[(*names[row.group], row) for row in shown],
        total=total,
        own=name_own(asked.by, own),
        billed=total_of([total, *own]),
        left_out=count - len(shown),
        currency=COST_CURRENCY,
        group_title=TITLES[asked.by],
        groups=[(name, title, asked.url(by=name, sort="")) for name, title in TITLES.items()],
        periods=[(int(days), asked.url(days=days)) for days in sorted(PERIODS, key=int)],
        columns=[
            (name, title, asked.sort_url(name), asked.sort.removeprefix("-") == name)
            for name, title in (
                ("name", TITLES[asked.by]),
                *COLUMNS.items(),
            )
        ],
        export_url=start_url(request.user, f"margin.{asked.by}", asked.export_query()),
    )
