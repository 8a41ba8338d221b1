"""The SQL of roll-ups: which columns are added up, and how rows of receipts become rows of sums.

One table of columns makes every statement, so that sweep, rebuild and audit can't differ.
"""

from collections.abc import Sequence

from billing.rollups.histogram import BOUNDS_MS, BUCKETS
from billing.token_classes import COUNTS

USAGE, SITE = "billing_usagerollup", "billing_siterollup"
SITE_KEYS = ("starts_at", "model_name", "provider_name", "outcome", "currency")
USAGE_KEYS = ("wallet_id", "starts_at", "api_key_id", *SITE_KEYS[1:])

# Each receipt with each currency that its credits were sold for; one without any is one row, too.
RECEIPTS = (
    "billing_usagerecord u LEFT JOIN LATERAL jsonb_each(u.income_micros) WITH ORDINALITY"
    " AS i(currency, micros, number) ON true"
)
# The sums of a receipt count in its first row.
IS_FIRST = "COALESCE(i.number, 1) = 1"

QUARTER = "date_bin('15 minutes', u.ended_at, '1970-01-01T00:00:00Z'::timestamptz)"
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


def add(receipts: str) -> str:
    """Return the statement that adds sums by wallet to both tables."""
    return (
        f"WITH fresh AS MATERIALIZED ({receipts}),"  # noqa: S608
        f" usage AS ({_upsert(USAGE, USAGE_KEYS, 'SELECT * FROM fresh')})"
        f" {_upsert(SITE, SITE_KEYS, of_wallets('fresh'))}"
    )


def take_away(where: str) -> str:
    """Return the statement that deletes the rows `t` of wallets, and takes them off the site's."""
    pairs = " AND ".join(f"s.{key} = g.{key}" for key in SITE_KEYS)
    return (
        f"WITH gone AS (DELETE FROM {USAGE} t {where} RETURNING t.*)"  # noqa: S608
        f" UPDATE {SITE} s SET {_combined('s', 'g', '-')} FROM ({of_wallets('gone')}) g"
        f" WHERE {pairs}"
    )


def drop_empty(where: str) -> str:
    """Return the statement that deletes rows of the site that nothing is left of."""
    return f"DELETE FROM {SITE} WHERE requests = 0 AND income_micros = 0 AND {where}"  # noqa: S608


def _upsert(table: str, keys: Sequence[str], rows: str) -> str:
    columns = ", ".join((*keys, *COLUMNS))
    return (
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM ({rows}) added"  # noqa: S608
        f" ORDER BY {', '.join(keys)} ON CONFLICT ({', '.join(keys)})"
        f" DO UPDATE SET {_combined(table, 'excluded', '+')}"
    )


def _combined(old: str, new: str, sign: str) -> str:
    sums = [f"{name} = {old}.{name} {sign} {new}.{name}" for name in SUMS]
    sums += [
        f"{name} = ARRAY["
        + ", ".join(f"{old}.{name}[{at}] {sign} {new}.{name}[{at}]" for at in _positions())
        + "]"
        for name in HISTOGRAMS
    ]
    return ", ".join(sums)


def _positions() -> range:
    return range(1, BUCKETS + 1)
