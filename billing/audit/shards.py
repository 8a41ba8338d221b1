"""The audit of one shard's books, where reading all receipts each hour would take too long.

The same queries, to which each table is the shard's part of it: a WITH of the table's own name
hides the table. What a query compares belongs to one wallet, or to its team, so nothing that it
needs is left out; what compares sums of all wallets is asked in the first shard's turn.
"""

from django.db import connection

from billing.audit.queries import QUERIES
from billing.models import UsageRecord
from billing.rollups import checks
from billing.wallet import keys

# So many receipts are audited whole each hour: that takes seconds.
SHORT_BOOKS = 500_000
HOUR_S = 3_600
OF_THE_SITE = frozenset(checks.QUERIES_OF_THE_SITE)
OF_A_WALLET = "SELECT * FROM {table} WHERE wallet_id IN (SELECT id FROM billing_wallet)"
# The first is seen by all that follow, as the shard's part. Teams are whole: their audit is short.
PARTS = {
    "billing_wallet": f"SELECT * FROM billing_wallet WHERE id % {keys.SHARDS} = {{shard}}",  # noqa: S608
    **{
        table: OF_A_WALLET.format(table=table)
        for table in (
            "billing_ledgerentry",
            "billing_usagerecord",
            "billing_lot",
            "billing_debit",
            "billing_memberspending",
            "billing_usagerollup",
            "billing_usageday",
            "billing_keyspan",
            "billing_rollupdue",
            "billing_rollupmark",
        )
    },
    "billing_order": (
        "SELECT * FROM billing_order WHERE team_id IN (SELECT team_id FROM billing_wallet)"
    ),
    "billing_keyspending": (
        "SELECT * FROM billing_keyspending WHERE api_key_id IN (SELECT k.id"
        " FROM accounts_apikey k JOIN billing_wallet w ON w.team_id = k.team_id)"
    ),
}
WITH = "WITH " + ", ".join(f"{table} AS ({part})" for table, part in PARTS.items())


def queries_of_shard(shard: int) -> list[tuple[int, str]]:
    """Return the queries to PostgreSQL that audit a shard, each with its invariant's number."""
    within = WITH.format(shard=shard)
    own = [(number, f"{within} {sql}") for number, sql in QUERIES if sql not in OF_THE_SITE]
    return own + [(number, sql) for number, sql in QUERIES if sql in OF_THE_SITE and shard == 0]


def are_books_long() -> bool:
    """Tell whether there are too many receipts to read all of them each hour.

    By PostgreSQL's estimate, which costs nothing and is right to a few per cent.
    """
    with connection.cursor() as cursor:
        table = UsageRecord._meta.db_table
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [table])
        return int(cursor.fetchone()[0]) > SHORT_BOOKS


def shard_due(at_s: float) -> int:
    """Return whose turn it is: one shard an hour, by the clock, so that no turn is kept."""
    return int(at_s // HOUR_S) % keys.SHARDS
