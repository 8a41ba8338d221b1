"""Measure the rebuild of many wallets after Redis was lost: `make bench-rebuild`.

The customers are rows of PostgreSQL that differ in their numbers alone, each with a wallet and an
API key that spent something. Processor time stands beside the clock: it tells more on a machine
that others use.
"""

import os
import random
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
class Callers:
    """Ask for wallets at random, one after another, as a first call does; in ms how long each took.

    `opened_s` is when the first was answered, in seconds since Redis was lost.
    """

    began: float
    last: int
    opened_s: float = 0.0
    took_ms: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        from django.db import connections

        while not self.is_over.wait(0.02):
            self._call_one(random.randint(FIRST, self.last))
        connections.close_all()

    def _call_one(self, wallet_id: int) -> None:
        from billing.exceptions import WalletMissing, WalletRecovering
        from billing.ledger.loads import load_wallets
        from billing.wallet.sync_client import get_sync_client

        asked = time.perf_counter()
        try:
            try:
                get_sync_client().read_balance(wallet_id)
            except WalletMissing:
                load_wallets([wallet_id])
                get_sync_client().read_balance(wallet_id)
        except WalletRecovering:
            return
        now = time.perf_counter()
        self.opened_s = self.opened_s or now - self.began
        self.took_ms.append((now - asked) * 1_000)


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


def measure(valkey: Valkey, count: int) -> Iterator[str]:
    """Lose Redis, rebuild, load all wallets, and tell how long it took and what calls took."""
    from billing.upkeep.loading import load_rest
    from billing.upkeep.recovery import recover
    from billing.wallet.sync_client import get_sync_client

    server = postgres_pid()
    get_sync_client().redis.flushdb()
    before = tree_cpu_s(valkey.process.pid), tree_cpu_s(server), time.process_time()
    callers = Callers(time.perf_counter(), FIRST + count - 1)
    calling = threading.Thread(target=callers.call)
    calling.start()
    recover()
    rebuilt_s = time.perf_counter() - callers.began
    yield f"{count:>9,} wallets   rebuilt after {rebuilt_s:.1f} s"
    load_rest()
    loaded_s = time.perf_counter() - callers.began
    callers.is_over.set()
    calling.join()
    redis_s, postgres_s = tree_cpu_s(valkey.process.pid) - before[0], tree_cpu_s(server) - before[1]
    worker_s = time.process_time() - before[2]
    took = sorted(callers.took_ms)
    yield (
        f"          first call after {callers.opened_s:.1f} s, all loaded after {loaded_s:.1f} s;"
        f" {len(took)} calls meanwhile: median {took[len(took) // 2]:.1f} ms,"
        f" 99th percentile {took[len(took) * 99 // 100]:.1f} ms"
    )
    yield (
        f"          CPU: Redis {redis_s:.1f} s, worker and calls {worker_s:.1f} s,"
        f" PostgreSQL {postgres_s:.1f} s"
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
            yield from measure(valkey, count)
            yield f"          {speed.words()}, others took {others:.0%}"


def main() -> int:
    """Print the table as it comes."""
    print(describe(), flush=True)
    for row in rows():
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
