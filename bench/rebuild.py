"""Measure the rebuild of many wallets after Redis was lost: `make bench-rebuild`.

The customers are rows of PostgreSQL that differ in their numbers alone, each with a wallet and an
API key that spent something. Processor time stands beside the clock: it tells more on a machine
that others use.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from bench.machine import calibrate, describe, tree_cpu_s, watch_others
from bench.services import own_services
from devstack.valkey import Valkey

WALLETS = os.environ.get("WALLETS", "100000 1000000")
FIRST = 1_000
# One row made from a template, with other values in some columns. As JSON, so that a new column
# needs no word here.
COPY = """
INSERT INTO {table}
SELECT made.* FROM generate_series({first}, {last}) n,
    (SELECT * FROM {table} WHERE id = {template}) one,
    LATERAL jsonb_populate_record(NULL::{table}, to_jsonb(one) || jsonb_build_object({values})) made
"""
COLUMNS = {
    "accounts_user": "'id', n, 'email', n || '@many.example.com'",
    "accounts_team": "'id', n, 'person_id', n, 'public_id', gen_random_uuid()",
    "billing_wallet": "'id', n, 'team_id', n, 'posted_credits', n, 'credited_credits', n",
    "accounts_apikey": (
        "'id', n, 'team_id', n, 'created_by_id', n, 'digest', md5(n::text) || md5(n::text)"
    ),
    "billing_keyspending": "'id', n, 'api_key_id', n, 'charged_credits', n",
}


@dataclass
class Opening:
    """When shards opened, in seconds since Redis was lost."""

    began: float
    at: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        from billing.wallet.sync_client import get_sync_client

        while not self.is_over.wait(0.05):
            count = len(get_sync_client().open_shards())
            self.at += [time.perf_counter() - self.began] * (count - len(self.at))


def make_templates() -> dict[str, int]:
    """Make one customer, and return the row of each table."""
    from accounts.models import ApiKey, User
    from accounts.teams.members import make_own_teams
    from billing.ledger.credits import post_credit
    from billing.ledger.references import Grant
    from billing.models import KeySpending, Wallet
    from billing.upkeep.recovery import recover

    recover(grace_s=0)
    user = User.objects.create(email="one@many.example.com")
    (team,) = make_own_teams([user])
    wallet = Wallet.objects.create(team=team)
    post_credit(wallet.pk, kind="grant", amount_credits=1_000, reference=Grant(uuid4()))
    key = ApiKey.objects.create(team=team, created_by=user, name="many", digest="0" * 64, hint="m")
    spent = KeySpending.objects.create(api_key=key, month=202_611, charged_credits=7)
    rows: tuple[Any, ...] = (user, team, wallet, key, spent)
    return {row._meta.db_table: row.pk for row in rows}


def make_customers(templates: dict[str, int], *, first: int, last: int) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        # Foreign keys are as they must be; to look at each takes longer than all the rest.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, values in COLUMNS.items():
            parts = {"table": table, "first": first, "last": last, "values": values}
            cursor.execute(COPY.format(template=templates[table], **parts))
    with connection.cursor() as cursor:
        for table in COLUMNS:
            cursor.execute(f"ANALYZE {table}")


def postgres_pid() -> int:
    """Return the server's main process, which is the parent of ours."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_read_file('postmaster.pid')")
        return int(cursor.fetchone()[0].split()[0])


def measure(valkey: Valkey, count: int) -> str:
    """Lose Redis, rebuild, and return a row of the table."""
    from billing.upkeep.recovery import recover
    from billing.wallet.sync_client import get_sync_client

    server = postgres_pid()
    get_sync_client().redis.flushdb()
    before = tree_cpu_s(valkey.process.pid), tree_cpu_s(server), time.process_time()
    opening = Opening(time.perf_counter())
    watcher = threading.Thread(target=opening.watch)
    watcher.start()
    recover()
    seconds = time.perf_counter() - opening.began
    opening.is_over.set()
    watcher.join()
    redis_s, postgres_s = tree_cpu_s(valkey.process.pid) - before[0], tree_cpu_s(server) - before[1]
    worker_s = time.process_time() - before[2]
    at = [*opening.at, seconds]
    return (
        f"{count:>9,} wallets {seconds:7.1f} s"
        f"   first shard {at[0]:6.1f} s, half {at[len(at) // 2]:6.1f} s"
        f"   CPU: Redis {redis_s:5.1f} s, worker {worker_s:5.1f} s, PostgreSQL {postgres_s:5.1f} s"
    )


def rows() -> Iterator[str]:
    """Yield the table's lines."""
    with own_services() as valkey:
        templates = make_templates()
        made = 0
        for count in sorted(map(int, WALLETS.split())):
            make_customers(templates, first=FIRST + made, last=FIRST + count - 1)
            made = count
            others, speed = watch_others(), calibrate(valkey.url)
            yield f"{measure(valkey, count)}   [{speed.words()}, others took {others:.0%}]"


def main() -> int:
    """Print the table as it comes."""
    print(describe(), flush=True)
    for row in rows():
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
