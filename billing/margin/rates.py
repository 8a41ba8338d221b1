"""The rates that staff set: what a currency's unit is in the currency of our costs, from a day on.

Nothing is converted without one, not even by the oldest rate before its day.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.models import ExchangeRate

# The currency of routes' prices.
COST_CURRENCY = "usd"
MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Rates:
    """All rates, each currency's in the order of their days."""

    rows: dict[str, list[tuple[date, Decimal]]]

    def find(self, currency: str, day: date) -> Decimal | None:
        """Return the rate that holds on a day; None without one."""
        if currency == COST_CURRENCY:
            return Decimal(1)
        rows = self.rows.get(currency, [])
        place = bisect_right(rows, day, key=lambda row: row[0])
        return rows[place - 1][1] if place else None

    def changes(self, since: date, until: date) -> list[date]:
        """Return the days after `since` until `until` from which on another rate holds."""
        days = {day for rows in self.rows.values() for day, _ in rows}
        return sorted(day for day in days if since < day <= until)

    def convert(self, micros: int, currency: str, day: date) -> Decimal | None:
        """Return millionths of a currency in whole units of our costs'; None without a rate."""
        rate = self.find(currency, day)
        return None if rate is None else micros * rate / MILLION


def read_rates() -> Rates:
    """Read the rates that staff set."""
    rows: dict[str, list[tuple[date, Decimal]]] = {}
    found = ExchangeRate.objects.order_by("currency", "day")
    for currency, day, rate in found.values_list("currency", "day", "rate"):
        rows.setdefault(currency, []).append((day, rate))
    return Rates(rows)
