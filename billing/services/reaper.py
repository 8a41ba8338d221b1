"""End holds whose lease ran out: their process stopped renewing it."""

import time
from collections.abc import Iterable

import structlog

from billing.exceptions import UnknownHold
from billing.models import UsageRecord
from billing.usage import Settlement
from billing.wallet import calls, keys
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

log = structlog.get_logger(__name__)

BATCH = 500


def reap(shards: Iterable[int] = range(keys.SHARDS)) -> int:
    """Settle every hold whose lease ran out at its last progress. Returns how many.

    Safe to repeat and to run at once: Redis looks at the lease again. Raises WalletRecovering.
    """
    client = get_sync_client()
    return sum(_reap_shard(client, shard) for shard in shards)


def abandoned(ended_at_ms: int) -> Settlement:
    """Return the end of a request of which nothing is known to have been delivered."""
    return Settlement(
        target_credits=0,
        outcome=UsageRecord.Outcome.ABANDONED,
        source=UsageRecord.Source.ESTIMATED,
        prompt_tokens=0,
        cached_tokens=0,
        completion_tokens=0,
        reasoning_tokens=0,
        provider_name="",
        attempts=1,
        ended_at_ms=ended_at_ms,
    )


def _reap_shard(client: SyncWalletClient, shard: int) -> int:
    now_ms = int(time.time() * 1_000)
    with client.reaching():
        due = client.redis.zrangebyscore(keys.leases(shard), "-inf", now_ms, start=0, num=BATCH)
    reaped = 0
    for member in due:
        request_id = member.decode()
        reaped += _reap_one(client, shard, request_id)
    return reaped


def _reap_one(client: SyncWalletClient, shard: int, request_id: str) -> bool:
    register = f"{keys.prefix(shard)}:hold:{request_id}"
    with client.reaching():
        owner = client.redis.hget(register, "w")
    wallet_id = int(owner) if owner else shard
    ending = abandoned(int(time.time() * 1_000))
    try:
        call = calls.reap(wallet_id, request_id, without_progress=ending)
        was_open = calls.parse_ended(client.ask(call))
    except UnknownHold:
        return False
    if was_open:
        log.warning("hold_reaped", request_id=request_id, wallet_id=wallet_id)
    return was_open
