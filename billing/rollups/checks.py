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
    f" {_columns('t', '-')} FROM {sums.USAGE} t"
)
# Days of which a quarter of an hour is added up again by the next sweep may differ until then.
NOT_DUE = (
    "NOT EXISTS (SELECT FROM billing_rollupdue d WHERE d.wallet_id = r.wallet_id"
    " AND d.starts_at >= r.day AND d.starts_at < r.day + interval '1 day')"
)
SITE_KEYS = ", ".join(sums.SITE_KEYS)

QUERIES_OF_WALLETS = (
    f"""
    SELECT 'roll-ups of wallet ' || wallet_id || ' on ' || to_char(day AT TIME ZONE 'UTC',
           'YYYY-MM-DD'), format('key %s, %s at %s, %s: receipts say %s requests and %s credits '
           'more', api_key_id, model_name, provider_name, outcome, SUM(requests),
           SUM(charged_credits))
    FROM ({RECEIPTS} UNION ALL {ROLLED_UP}) r
    WHERE {NOT_DUE}
    GROUP BY {", ".join(KEYS)}, day HAVING {IS_DIFFERENT}
    """,  # noqa: S608
)
QUERIES_OF_THE_SITE = (
    f"""
    SELECT 'roll-up of the site at ' || starts_at, format('%s at %s, %s: those of wallets say %s '
           'requests and %s credits more', model_name, provider_name, outcome, SUM(requests),
           SUM(charged_credits))
    FROM (SELECT {SITE_KEYS}, {_columns("t", "")} FROM {sums.USAGE} t
          UNION ALL SELECT {SITE_KEYS}, {_columns("s", "-")} FROM {sums.SITE} s) r
    GROUP BY {SITE_KEYS} HAVING {IS_DIFFERENT}
    """,  # noqa: S608
)
QUERIES = QUERIES_OF_WALLETS + QUERIES_OF_THE_SITE
