"""What PostgreSQL has of the wallets, shard by shard, as a rebuild needs it.

One reading of each table, sorted by shard: of a million wallets only a few shards are in memory,
and the first is written while the others are read. Runs inside the rebuild's snapshot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, starmap
from operator import itemgetter
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Case, F, IntegerField, QuerySet, Value, When
from django.db.models.functions import Mod

from billing.models import KeySpending, Wallet
from billing.wallet import keys
from billing.wallet.commands.restoring import BookedWallet

CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Books:
    """The wallets of one shard, and what API keys spent from them: key, month, charge."""

    wallets: list[BookedWallet]
    spending: list[tuple[int, int, int]]


@contextmanager
def open_books(shards: list[int]) -> Iterator[Iterator[Books]]:
    """Give what is booked of each of these shards, in this order.

    Within the snapshot, its cursors end with it: one that is given up later would be closed in
    another's transaction, and break it.
    """
    with connection.cursor() as cursor:
        # To sort a million rows without the disk, which takes three times as long.
        cursor.execute("SET LOCAL work_mem = '128MB'")
    # The server's own cursors: they live in the snapshot's transaction, which keeps one connection
    # behind a pooler, too.
    with connection.chunked_cursor() as wallets, connection.chunked_cursor() as spending:
        yield _read_books(wallets, spending, shards)


def _read_books(
    wallet_rows: CursorWrapper, spending_rows: CursorWrapper, shards: list[int]
) -> Iterator[Books]:
    wallets = _in_order(wallet_rows, Wallet.objects.all(), "pk", shards, BookedWallet._fields)
    spending = _in_order(
        spending_rows,
        KeySpending.objects.all(),
        "api_key__team__wallet",
        shards,
        ("api_key", "month", "charged_credits"),
    )
    for some, spent in zip(wallets, spending, strict=True):
        yield Books(list(starmap(BookedWallet, some)), spent)


def _in_order(
    cursor: CursorWrapper,
    rows: "QuerySet[Any, Any]",
    wallet: str,
    shards: list[int],
    columns: tuple[str, ...],
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of each shard, in the order of the shards; of some there may be none."""
    place = Case(
        *(When(shard=shard, then=Value(place)) for place, shard in enumerate(shards)),
        output_field=IntegerField(),
    )
    of_shards = rows.annotate(shard=Mod(F(wallet), Value(keys.SHARDS))).filter(shard__in=shards)
    sorted_rows = of_shards.annotate(place=place).order_by("place").values_list(*columns, "place")
    groups = groupby(_stream(cursor, sorted_rows), key=itemgetter(-1))
    place_found, found = next(groups, (None, iter(())))
    for place_due in range(len(shards)):
        if place_found != place_due:
            yield []
            continue
        yield [row[:-1] for row in found]
        place_found, found = next(groups, (None, iter(())))


def _stream(cursor: CursorWrapper, rows: "QuerySet[Any, Any]") -> Iterator[tuple[Any, ...]]:
    """Yield rows without having all of them here."""
    cursor.execute(*rows.query.sql_with_params())
    while some := cursor.fetchmany(CHUNK):
        yield from some
