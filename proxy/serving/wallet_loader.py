"""Load wallets into Redis for requests that find theirs missing.

After Redis was lost everybody may come at once. Those who wait are loaded together, of each server
one batch after another, so that PostgreSQL has a few queries to answer and not one for each.
"""

import asyncio

from django.db import OperationalError

from billing.exceptions import WalletRecovering
from billing.ledger.loads import load_wallets
from billing.wallet import keys
from billing.wallet.sync_client import get_sync_client
from proxy.database import PATIENCE_S, in_database

MOST = 200

# What became of a load: nothing if a request may ask Redis again.
Outcome = Exception | None


class WalletLoader:
    """Loads wallets, those of different servers apart: one that hangs keeps only its own."""

    def __init__(self) -> None:
        # By server, who waits for which wallet.
        self._waiting: dict[str, dict[int, asyncio.Future[Outcome]]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    async def load(self, wallet_id: int) -> None:
        """Load a wallet that Redis said to lack; if its shard is closed, Redis says so next.

        Raises OperationalError if PostgreSQL does not answer within PATIENCE_S.
        """
        server = get_sync_client().node_of(keys.shard_of(wallet_id)).name
        waiting = self._waiting.setdefault(server, {})
        answer = waiting.get(wallet_id)
        if answer is None:
            answer = waiting[wallet_id] = asyncio.get_running_loop().create_future()
        if server not in self._working:
            self._working[server] = asyncio.create_task(self._work(server))
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await asyncio.shield(answer)
        except TimeoutError as error:
            raise OperationalError("The wallet was not loaded in time.") from error
        if outcome is not None:
            raise outcome

    async def _work(self, server: str) -> None:
        """Load batches until nobody waits. An error is that of everybody in its batch."""
        waiting = self._waiting[server]
        try:
            while waiting:
                batch = {wallet_id: waiting.pop(wallet_id) for wallet_id in list(waiting)[:MOST]}
                outcome = await _try_to_load(list(batch))
                for answer in batch.values():
                    answer.set_result(outcome)
        finally:
            del self._working[server]


async def _try_to_load(wallet_ids: list[int]) -> Outcome:
    try:
        await in_database(load_wallets, wallet_ids)
    except WalletRecovering:
        # One shard of several may be closed. Whose it is, finds it closed.
        return None
    except Exception as error:  # noqa: BLE001  # it is raised where somebody waits
        return error
    return None
