"""Load into Redis the wallets that nobody asked for since it was lost.

Whoever asks for a wallet has it loaded, so nothing is wrong without this. But a call of a wallet
that is there waits for no load, and needs no PostgreSQL.
"""

import time
from dataclasses import dataclass

import structlog
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Mod

from billing.ledger.loads import find_epochs, load_calls, read_books, send_loads
from billing.models import Wallet
from billing.wallet import keys
from billing.wallet.commands.loading import EVERYTHING, read_note
from billing.wallet.sync_client import get_sync_client
from common.progress import Progress, unseen

log = structlog.get_logger(__name__)

CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """The epoch of an open shard, and up to which wallet's id all are loaded in it."""

    epoch: str
    upto: int


def load_rest(*, most_s: float | None = None, on_progress: Progress = unseen) -> int:
    """Load, in the order of their ids, wallets that nobody asked for. Returns how many.

    Goes on where the last one ended, and ends after `most_s`. Safe to repeat and concurrently.
    Raises WalletRecovering if a shard is closed meanwhile.
    """
    started = time.monotonic()
    loaded = 0
    while found := find_loading():
        begun = time.monotonic()
        loaded += _load_chunk(found)
        now = time.monotonic()
        if most_s is not None and now - started > most_s:
            break
        on_progress(f"{loaded:,} wallets loaded")
        # Redis and PostgreSQL serve others for as long.
        time.sleep(now - begun)
    if loaded:
        log.info("wallets_loaded", wallets=loaded, seconds=round(time.monotonic() - started, 3))
    return loaded


def find_loading() -> dict[int, Loaded]:
    """Return the open shards of which wallets may not be loaded. Raises WalletRecovering."""
    client = get_sync_client()
    epochs = find_epochs(range(keys.SHARDS))
    found = {}
    for node in client.nodes:
        shards = [shard for shard in node.shards if shard in epochs]
        with node.reaching():
            notes = node.redis.mget([keys.loaded_upto(shard) for shard in shards]) if shards else []
        for shard, note in zip(shards, notes, strict=True):
            epoch = epochs[shard]
            here = Loaded(epoch, read_note(note, epoch=epoch.encode()))
            if here.upto < EVERYTHING:
                found[shard] = here
    return found


def count_rest() -> int:
    """Return of how many wallets nobody knows whether they are loaded. Raises WalletRecovering.

    Those that were loaded because somebody asked for them count until the sweep has passed them.
    """
    found = find_loading()
    return _rest(found).count() if found else 0


def _rest(found: dict[int, Loaded]) -> QuerySet[Wallet]:
    """Return the wallets of these shards that the sweep has not passed."""
    wallets = Wallet.objects.annotate(shard=Mod(F("pk"), Value(keys.SHARDS)))
    start = min(here.upto for here in found.values())
    return wallets.filter(pk__gt=start, shard__in=found.keys())


def _load_chunk(found: dict[int, Loaded]) -> int:
    """Load the next wallets of these shards."""
    with transaction.atomic(durable=True):
        ids = list(_rest(found).order_by("pk").values_list("pk", flat=True)[:CHUNK])
        books = read_books(ids)
    upto = ids[-1] if len(ids) == CHUNK else EVERYTHING
    return send_loads(
        call
        for shard, here in found.items()
        for call in load_calls(
            shard, books.of_shard(shard), epoch=here.epoch, upto=max(upto, here.upto)
        )
    )
