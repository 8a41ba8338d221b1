"""Load wallets into Redis: those that a rebuild left in PostgreSQL, when they are asked for.

A rebuild brings back what was under way. Nothing can be decided about any other wallet before it is
loaded, so PostgreSQL alone knows it, and what it says of the wallet's debits does not change. A
load is of one epoch: the epoch is asked for first, PostgreSQL is read then, and Redis refuses the
load in any other. Two loads of one wallet write the same, and the second writes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, starmap
from typing import Self

from django.db import transaction

from billing.exceptions import WalletError, WalletRecovering
from billing.models import KeySpending, Wallet
from billing.wallet import keys
from billing.wallet.commands import loading
from billing.wallet.commands.command import Command, Reply
from billing.wallet.commands.restoring import BookedWallet, Spent
from billing.wallet.sync_client import each_apart, get_sync_client
from common.batches import batches

# A command of so many keeps Redis from its other work for two milliseconds.
BATCH = 50


@dataclass(frozen=True, slots=True)
class Books:
    """Some wallets as PostgreSQL has them, and by wallet what their API keys spent."""

    wallets: list[BookedWallet]
    spending: dict[int, list[Spent]]

    def of_shard(self, shard: int) -> Self:
        """Return those of one shard."""
        mine = [wallet for wallet in self.wallets if keys.shard_of(wallet.pk) == shard]
        return type(self)(mine, self.spending)


def read_books(wallet_ids: Iterable[int]) -> Books:
    """Read these wallets from PostgreSQL, in the order of their ids."""
    ids = list(wallet_ids)
    rows = Wallet.objects.filter(pk__in=ids).order_by("pk").values_list(*BookedWallet._fields)
    wallets = list(starmap(BookedWallet, rows))
    spending: dict[int, list[Spent]] = defaultdict(list)
    spent = KeySpending.objects.filter(api_key__team__wallet__in=ids).order_by("pk")
    for wallet_id, *row in spent.values_list("api_key__team__wallet", *Spent._fields):
        spending[wallet_id].append(Spent(*row))
    return Books(wallets, spending)


def load_wallets(wallet_ids: Iterable[int]) -> int:
    """Load these wallets. Returns how many were not there yet. Safe to repeat and concurrently.

    Raises WalletRecovering, after those whose shard is open. Raises RuntimeError within a
    transaction: it could see what is never committed, or what was true before the epoch.
    """
    by_shard: dict[int, list[int]] = defaultdict(list)
    for wallet_id in wallet_ids:
        by_shard[keys.shard_of(wallet_id)].append(wallet_id)
    # Before PostgreSQL is read: what is read is true of this epoch then, or the load is refused.
    epochs = find_epochs(by_shard)
    with transaction.atomic(durable=True):
        books = read_books(chain.from_iterable(by_shard[shard] for shard in epochs))
    loaded = send_loads(
        chain.from_iterable(
            load_calls(shard, books.of_shard(shard), epoch=epoch) for shard, epoch in epochs.items()
        )
    )
    if len(epochs) < len(by_shard):
        raise WalletRecovering("A shard is closed.")
    return loaded


def find_epochs(shards: Iterable[int]) -> dict[int, str]:
    """Return the epochs of these shards, by shard; those that are closed are left out."""
    asked = list(shards)
    replies = get_sync_client().ask_each([loading.epoch(shard) for shard in asked])
    epochs = {}
    for shard, reply in zip(asked, replies, strict=True):
        with suppress(WalletRecovering):
            epochs[shard] = loading.parse_epoch(_checked(reply))
    return epochs


def load_calls(shard: int, books: Books, *, epoch: str, upto: int = 0) -> list[Command]:
    """Return the calls that load wallets; the last one notes how far the shard is loaded."""
    *parts, last = batches(books.wallets, BATCH) if books.wallets else [[]]
    load = partial(loading.load, shard, spending=books.spending, epoch=epoch)
    return [*(load(part) for part in parts), load(last, upto=upto)]


def send_loads(calls: Iterable[Command]) -> int:
    """Send loads. Returns how many wallets were not there. Raises WalletRecovering, at the end."""
    replies = get_sync_client().ask_each(list(calls))
    return sum(each_apart(replies, lambda reply: loading.parse_load(_checked(reply))))


def _checked(reply: Reply | WalletError) -> Reply:
    if isinstance(reply, WalletError):
        raise reply
    return reply
