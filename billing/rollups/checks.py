"""The audit's queries: roll-ups are the sums of receipts, to the last unit.

By day, because that is quick. `manage.py rebuild_roll_ups --check` compares each row, with its
histograms. Each query returns rows of (what it concerns, what is wrong).
"""

from billing.rollups import sums

KEYS = tuple(key for key in sums.USAGE_KEYS if key != "starts_at")
DAY = "date_trunc('day', {at}, 'UTC') AS day"
IS_DIFFERENT = " OR ".join(f"SUM({name}) <> 0" for name in sums.SUMS)


def _columns(row: str, sign: str) -> str:
    return ", ".join(f"{sign}{row}.{name} AS {name}" for name in sums.SUMS)


RECEIPTS = (
    f"SELECT {', '.join(map(sums.key_of_receipt, KEYS))}, {DAY.format(at='u.ended_at')},"  # noqa: S608  # names of these modules
    f" {', '.join(f'{value} AS {name}' for name, value in sums.SUMS.items())}"
    f" FROM {sums.RECEIPTS} {sums.MARKED}"
)
ROLLED_UP = (
    f"SELECT {', '.join(f't.{key}' for key in KEYS)}, {DAY.format(at='t.starts_at')},"  # noqa: S608
    f" {_columns('t', '-')} FROM {sums.USAGE} t WHERE t.starts_at >= {sums.KEPT_FROM}"
)
# What tells of the days whose quarters are gone.
OLD_DAYS = (
    f"SELECT {', '.join(f't.{key}' for key in KEYS)}, t.starts_at AS day, {_columns('t', '-')}"  # noqa: S608
    f" FROM {sums.DAY} t WHERE t.starts_at < {sums.KEPT_FROM}"
)

# Before it days have no sums yet.
MADE_FROM = (
    "COALESCE((SELECT days_from::timestamp AT TIME ZONE 'UTC' FROM billing_rolluprange),"
    " '-infinity')"
)
DAYS = (
    f"SELECT {', '.join(f't.{key}' for key in KEYS)}, t.starts_at AS day, {_columns('t', '')}"  # noqa: S608
    f" FROM {sums.DAY} t"
)

# Days of which a quarter of an hour is added up again by the next sweep may differ until then.
NOT_DUE = (
    "NOT EXISTS (SELECT FROM billing_rollupdue d WHERE d.wallet_id = r.wallet_id"
    " AND d.starts_at >= r.day AND d.starts_at < r.day + interval '1 day')"
)
SITE_KEYS = ", ".join(sums.SITE_KEYS)
OF_SITE = ", ".join(sums.SITE_KEYS[1:])

QUERIES_OF_WALLETS = (
    f"""
    SELECT 'roll-ups of wallet ' || wallet_id || ' on ' || to_char(day AT TIME ZONE 'UTC',
           'YYYY-MM-DD'), format('key %s, %s at %s, %s: receipts say %s requests and %s credits '
           'more', api_key_id, model_name, provider_name, outcome, SUM(requests),
           SUM(charged_credits))
    FROM ({RECEIPTS} UNION ALL {ROLLED_UP} UNION ALL {OLD_DAYS}) r
    WHERE {NOT_DUE}
    GROUP BY {", ".join(KEYS)}, day HAVING {IS_DIFFERENT}
    """,  # noqa: S608
    f"""
    SELECT 'sums of wallet ' || wallet_id || ' on ' || to_char(day AT TIME ZONE 'UTC',
           'YYYY-MM-DD'), format('key %s, %s at %s, %s: the day says %s requests and %s credits '
           'more than its quarters of an hour', api_key_id, model_name, provider_name, outcome,
           SUM(requests), SUM(charged_credits))
    FROM ({DAYS} UNION ALL {ROLLED_UP}) r WHERE day >= GREATEST({MADE_FROM}, {sums.KEPT_FROM})
    GROUP BY {", ".join(KEYS)}, day HAVING {IS_DIFFERENT}
    """,  # noqa: S608
    # A span that began before days had sums may lack some of them.
    f"""
    SELECT days || ' days of wallet ' || wallet_id, format('key %s, from %s on: days say %s '
           'requests and %s credits more', api_key_id, starts_at, SUM(requests),
           SUM(charged_credits))
    FROM ({sums.of_spans(sums.DAY)} UNION ALL SELECT days, wallet_id, starts_at, api_key_id,
          currency, {", ".join(f"-{name}" for name in sums.SPAN_SUMS)} FROM {sums.SPAN}) r
    WHERE starts_at >= {MADE_FROM} GROUP BY days, wallet_id, starts_at, api_key_id, currency
    HAVING {" OR ".join(f"SUM({name}) <> 0" for name in sums.SPAN_SUMS)}
    """,  # noqa: S608
)
QUERIES_OF_THE_SITE = (
    f"""
    SELECT 'roll-up of the site at ' || starts_at, format('%s at %s, %s: those of wallets say %s '
           'requests and %s credits more', model_name, provider_name, outcome, SUM(requests),
           SUM(charged_credits))
    FROM (SELECT {SITE_KEYS}, {_columns("t", "")} FROM {sums.USAGE} t
          WHERE starts_at >= {sums.KEPT_FROM}
          UNION ALL SELECT {SITE_KEYS}, {_columns("d", "")} FROM {sums.DAY} d
          WHERE starts_at < {sums.KEPT_FROM}
          UNION ALL SELECT CASE WHEN starts_at < {sums.KEPT_FROM} THEN {sums.DAY_OF}
          ELSE starts_at END, {OF_SITE}, {_columns("s", "-")} FROM {sums.SITE} s) r
    GROUP BY {SITE_KEYS} HAVING {IS_DIFFERENT}
    """,  # noqa: S608
)
QUERIES = QUERIES_OF_WALLETS + QUERIES_OF_THE_SITE
