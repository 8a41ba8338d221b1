"""The SQL of roll-ups: which columns are added up, and how rows of receipts become rows of sums.

One table of columns makes every statement, so that sweep, rebuild and audit can't differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from billing.rollups.histogram import BOUNDS_MS, BUCKETS
from billing.token_classes import COUNTS

USAGE, SITE = "billing_usagerollup", "billing_siterollup"
DAY, SPAN = "billing_usageday", "billing_keyspan"
SITE_KEYS = ("starts_at", "model_name", "provider_name", "outcome", "currency")
USAGE_KEYS = ("wallet_id", "starts_at", "api_key_id", *SITE_KEYS[1:])
SPAN_KEYS = ("days", "wallet_id", "starts_at", "api_key_id", "currency")
# Lengths of spans in days. A time is cut into the longest that fit, so that 90 days up to now are a
# dozen at most.
SPANS = (1, 5, 30)
EPOCH = "'1970-01-01T00:00:00Z'::timestamptz"
DAY_OF = "date_trunc('day', starts_at, 'UTC')"
# Wallets have no quarters of an hour that are older, see `detail.py`.
KEPT_FROM = "COALESCE((SELECT quarters_from FROM billing_rolluprange), '-infinity'::timestamptz)"

# Each receipt with each currency that its credits were sold for; one without any is one row, too.
RECEIPTS = (
    "billing_usagerecord u LEFT JOIN LATERAL jsonb_each(u.income_micros) WITH ORDINALITY"
    " AS i(currency, micros, number) ON true"
)
# The sums of a receipt count in its first row.
IS_FIRST = "COALESCE(i.number, 1) = 1"

QUARTER = f"date_bin('15 minutes', u.ended_at, {EPOCH})"
# Two machines' clocks may differ.
DURATION = "GREATEST(0, EXTRACT(EPOCH FROM u.ended_at - u.started_at) * 1000)::bigint"

# A receipt's values for the columns of the keys that are not its own.
KEY_VALUES = {"starts_at": QUARTER, "currency": "COALESCE(i.currency, '')"}

# A roll-up's columns, each with what one receipt adds to it.
OF_RECEIPTS = {
    "requests": "1",
    "charged_credits": "u.charged_credits",
    "write_off_credits": "u.write_off_credits",
    **{count: f"u.{count}" for count in COUNTS},
    "cost_nanos": "COALESCE(u.cost_nanos, 0)",
    "unpriced_requests": "(u.cost_nanos IS NULL)::int",
    "unknown_income_requests": "(u.income_micros IS NULL)::int",
    "duration_ms": DURATION,
}
SUMS = {
    **{
        name: f"CASE WHEN {IS_FIRST} THEN {value} ELSE 0 END" for name, value in OF_RECEIPTS.items()
    },
    "income_micros": "COALESCE(i.micros::bigint, 0)",
}
HISTOGRAMS = {
    name: f"CASE WHEN {IS_FIRST} THEN {value} END"
    for name, value in {"durations": DURATION, "first_bytes": "u.first_byte_ms"}.items()
}
COLUMNS = (*SUMS, *HISTOGRAMS)
# What margins are made of.
SPAN_SUMS = (
    *("requests", "charged_credits", "write_off_credits", "income_micros", "cost_nanos"),
    *("unpriced_requests", "unknown_income_requests"),
)

# Receipts that are rolled up: all up to the mark of their wallet.
MARKED = "JOIN billing_rollupmark m ON m.wallet_id = u.wallet_id AND u.id <= m.record_id"


def key_of_receipt(key: str) -> str:
    """Return the value of a receipt for a column of the keys."""
    return f"{KEY_VALUES.get(key, f'u.{key}')} AS {key}"


def of_receipts(rest: str) -> str:
    """Return the sums by wallet of the receipts `u` that `rest` joins and filters."""
    bounds = ",".join(map(str, BOUNDS_MS))
    values = [
        *(f"{value} AS {name}" for name, value in SUMS.items()),
        *(f"width_bucket({ms}, '{{{bounds}}}'::bigint[]) AS {n}" for n, ms in HISTOGRAMS.items()),
    ]
    keys = [key_of_receipt(key) for key in USAGE_KEYS]
    counted = (
        "ARRAY["
        + ", ".join(f"COUNT(*) FILTER (WHERE {name} = {at})" for at in range(BUCKETS))
        + f"]::int[] AS {name}"
        for name in HISTOGRAMS
    )
    summed = (f"SUM({name})::bigint AS {name}" for name in SUMS)
    return (
        f"SELECT {', '.join((*USAGE_KEYS, *summed, *counted))}"  # noqa: S608  # names of this module
        f" FROM (SELECT {', '.join((*keys, *values))} FROM {RECEIPTS} {rest}) r"
        f" GROUP BY {', '.join(USAGE_KEYS)}"
    )


def of_wallets(source: str) -> str:
    """Return the sums over all wallets of rows that are sums by wallet."""
    summed = [f"SUM({name})::bigint AS {name}" for name in SUMS]
    summed += [
        f"ARRAY[{', '.join(f'SUM({name}[{at}])' for at in _positions())}]::int[] AS {name}"
        for name in HISTOGRAMS
    ]
    keys = ", ".join(SITE_KEYS)
    return f"SELECT {keys}, {', '.join(summed)} FROM {source} GROUP BY {keys}"  # noqa: S608


def of_days(source: str) -> str:
    """Return the sums by day of rows that are sums by wallet."""
    keys = [f"{DAY_OF} AS starts_at" if key == "starts_at" else key for key in USAGE_KEYS]
    columns = ", ".join((*keys, *(f"SUM({name})::bigint AS {name}" for name in SUMS)))
    grouped = ", ".join(DAY_OF if key == "starts_at" else key for key in USAGE_KEYS)
    return f"SELECT {columns} FROM {source} GROUP BY {grouped}"  # noqa: S608


def of_spans(source: str, spans: Sequence[int] = SPANS) -> str:
    """Return the sums by key and span of days of rows that are sums by wallet."""
    start = f"date_bin(span.days * interval '1 day', starts_at, {EPOCH})"
    lengths = ", ".join(f"({days})" for days in spans)
    columns = ", ".join(f"SUM({name})::bigint AS {name}" for name in SPAN_SUMS)
    return (
        f"SELECT span.days, wallet_id, {start} AS starts_at, api_key_id, currency, {columns}"  # noqa: S608
        f" FROM {source} CROSS JOIN (VALUES {lengths}) AS span(days)"
        f" GROUP BY span.days, wallet_id, {start}, api_key_id, currency"
    )


@dataclass(frozen=True, slots=True)
class Table:
    """A table of sums: what tells its rows apart, what it adds up, and from which rows."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    # The sums of rows that are sums by wallet and quarter of an hour.
    of: Callable[[str], str]

    def insert(self, rows: str) -> str:
        """Return the statement that adds rows to those that are there."""
        columns = ", ".join((*self.keys, *self.columns))
        own = ", ".join(key for key in self.keys if self is not SPANS_OF_KEYS or key != "wallet_id")
        return (
            f"INSERT INTO {self.name} ({columns}) SELECT {columns} FROM ({rows}) added"  # noqa: S608
            f" ORDER BY {own} ON CONFLICT ({own})"
            f" DO UPDATE SET {_combined(self.columns, self.name, 'excluded', '+')}"
        )

    def subtract(self, rows: str) -> str:
        """Return the statement that takes rows off those that are there."""
        pairs = " AND ".join(f"s.{key} = g.{key}" for key in self.keys)
        return (
            f"UPDATE {self.name} s SET {_combined(self.columns, 's', 'g', '-')}"  # noqa: S608
            f" FROM ({rows}) g WHERE {pairs}"
        )


QUARTERS = Table(USAGE, USAGE_KEYS, COLUMNS, lambda source: f"SELECT * FROM {source}")  # noqa: S608
QUARTERS_OF_SITE = Table(SITE, SITE_KEYS, COLUMNS, of_wallets)
DAYS = Table(DAY, USAGE_KEYS, tuple(SUMS), of_days)
SPANS_OF_KEYS = Table(SPAN, SPAN_KEYS, SPAN_SUMS, of_spans)
OF_DAYS = (QUARTERS, QUARTERS_OF_SITE, DAYS)
ALL = (*OF_DAYS, SPANS_OF_KEYS)


def add(receipts: str, tables: Sequence[Table] = ALL) -> str:
    """Return the statement that adds sums by wallet to these tables."""
    parts = ", ".join(f"{each.name}_ AS ({each.insert(each.of('fresh'))})" for each in tables)
    return f"WITH fresh AS MATERIALIZED ({receipts}), {parts} SELECT 1"


def take_away(where: str) -> str:
    """Return the statement that deletes rows `t` of wallets, and takes them off all other sums."""
    parts = ", ".join(f"{each.name}_ AS ({each.subtract(each.of('gone'))})" for each in ALL[1:])
    return f"WITH gone AS (DELETE FROM {USAGE} t {where} RETURNING t.*), {parts} SELECT 1"  # noqa: S608


def drop_empty(where: str) -> str:
    """Return the statement that deletes rows of the site that nothing is left of."""
    return f"DELETE FROM {SITE} WHERE requests = 0 AND income_micros = 0 AND {where}"  # noqa: S608


def _combined(columns: Sequence[str], old: str, new: str, sign: str) -> str:
    return ", ".join(
        f"{name} = {_of_buckets(name, old, new, sign)}"
        if name in HISTOGRAMS
        else f"{name} = {old}.{name} {sign} {new}.{name}"
        for name in columns
    )


def _of_buckets(name: str, old: str, new: str, sign: str) -> str:
    cells = (f"{old}.{name}[{at}] {sign} {new}.{name}[{at}]" for at in _positions())
    return f"ARRAY[{', '.join(cells)}]"


def _positions() -> range:
    return range(1, BUCKETS + 1)
