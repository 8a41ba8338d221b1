"""The whole of the money core around two wallets, for a machine that breaks it in any order.

Redis and PostgreSQL are real. A restart is done by loading the function library anew, which closes
the fences as a restart does, and a rewind by putting back what DUMP gave earlier; both take a
millisecond. `test_recovery.py` does the same with a server that is killed.
"""

from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from django.db import connection

from billing.audit import queries as audit_queries
from billing.models import (
    Debit,
    KeySpending,
    KeyWriteOff,
    LedgerEntry,
    Lot,
    MemberSpending,
    UsageRecord,
    Wallet,
)
from billing.wallet import keys, library
from billing.wallet.events import Amounts, read_amounts
from billing.wallet.journal import Journal, read_all
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from tests.conftest import open_fences
from tests.till import Till

BOOKS = [LedgerEntry, Lot, UsageRecord, KeySpending, KeyWriteOff, MemberSpending, Debit]


@dataclass
class Figures:
    """A wallet in Redis, with what it should add up to."""

    base: int
    pend: int
    held: int
    events: list[Amounts]
    # Open registers: what each holds, and what it would be charged at least.
    holds: dict[str, tuple[int, int]]

    @property
    def available(self) -> int:
        return self.base - self.pend - self.held


@dataclass
class World:
    """Customers' wallets, one web process, and the means to break Redis."""

    tills: list[Till]
    folder: Path
    journal: Journal = field(init=False)
    backup: list[tuple[bytes, int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clear()
        self.journal = Journal.open(self.folder)

    @property
    def client(self) -> SyncWalletClient:
        return get_sync_client()

    def close(self) -> None:
        self.journal.close()

    def replace_process(self) -> None:
        """The web process dies; another starts."""
        self.journal.close()
        self.journal = Journal.open(self.folder)

    def restart_redis(self) -> None:
        self.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", library.read_source())

    def upgrade_library(self) -> None:
        """Replace the library by one that differs, as a worker of another release does."""
        self.client.node_of(0).replace_library(f"{library.read_source()}-- {uuid4()}\n")

    def flush_redis(self) -> None:
        self.client.redis.flushdb()

    def back_up(self) -> None:
        redis = self.client.redis
        names = redis.keys("*")
        pipeline = redis.pipeline(transaction=True)
        for name in names:
            pipeline.pttl(name)
            pipeline.dump(name)
        found = pipeline.execute()
        self.backup = list(zip(names, found[::2], found[1::2], strict=True))

    def rewind_redis(self) -> None:
        pipeline = self.client.redis.pipeline(transaction=True)
        pipeline.flushdb()
        for name, ttl_ms, dump in self.backup:
            pipeline.restore(name, max(ttl_ms, 0), dump)
        pipeline.execute()
        self.restart_redis()

    def end_lease(self, till: Till, request_id: str) -> None:
        self.client.redis.zadd(keys.leases(till.shard), {request_id: 1}, xx=True)

    def counts(self, till: Till) -> bool:
        """Tell whether Redis counts a till's member in this epoch."""
        redis = self.client.redis
        epoch = redis.get(keys.fence(till.shard))
        return bool(epoch == redis.hget(keys.member(till.wallet.pk, till.member), "e"))

    def figures(self, till: Till) -> Figures | None:
        """Read a wallet from Redis; None if it is not loaded."""
        redis = self.client.redis
        pipeline = redis.pipeline(transaction=True)
        pipeline.hmget(keys.wallet(till.wallet.pk), "base", "pend", "held", "e")
        pipeline.xrange(keys.events(till.shard))
        pipeline.zrange(keys.leases(till.shard), 0, -1)
        pipeline.get(keys.fence(till.shard))
        values, found, leased, epoch = pipeline.execute()
        *values, of = values
        if of is None or of != epoch:
            return None
        for name in leased:
            pipeline.hmget(keys.register(till.shard, name.decode()), "s", "w", "a", "pt", "e")
        holds = {}
        for name, (state, owner, amount, progress, of) in zip(
            leased, pipeline.execute(), strict=True
        ):
            if state == b"open" and int(owner) == till.wallet.pk and of == epoch:
                holds[name.decode()] = (int(amount), int(progress))
        events = [read_amounts(*item) for item in found]
        mine = [event for event in events if event.wallet_id == till.wallet.pk]
        base, pend, held = (int(value) for value in values)
        return Figures(base, pend, held, mine, holds)

    def broken_books(self) -> list[tuple[int, str]]:
        """Ask the audit's questions to PostgreSQL."""
        broken = []
        with connection.cursor() as cursor:
            for number, query in audit_queries.QUERIES:
                cursor.execute(query)
                broken += [(number, str(row)) for row in cursor.fetchall()]
        return broken

    def _clear(self) -> None:
        tables = ", ".join(model._meta.db_table for model in BOOKS)
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        Wallet.objects.update(
            posted_credits=0,
            credited_credits=0,
            debt_credits=0,
            state=Wallet.State.ACTIVE,
            version=1,
            pushed_version=0,
        )
        for path in self.folder.glob("*"):
            path.unlink()
        self.client.redis.flushdb()
        self.client.load_library()
        open_fences(self.client)

    def journalled(self) -> set[str]:
        return set(read_all(self.folder).held)
