"""Answers kept for a request that is sent again, so that it is neither sent nor charged twice.

A recording is a key in Redis beside the wallet's: first *running*, for as long as its process
renews it, then *kept*, or *unkept* if the answer was too large. If the process dies, the recording
goes when its lease runs out, and the requests that waited for it start anew.

An answer is encrypted with a key made from the request's body and SECRET_KEY, so a reader of Redis
can't open it. The memory of a wallet's answers, and of all together, is bounded, because balances
are in the same memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Self

import orjson
import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from billing.exceptions import WalletRecovering
from billing.wallet import keys
from billing.wallet.connection import CommandRefused, Connection, ConnectionLost

log = structlog.get_logger(__name__)

# A running recording that is not renewed for this long is gone. It is renewed every third of it.
LEASE_S = 6.0
# A waiting request notes that it waits at each look; the note lasts this long.
AWAITED_S = 3.0
NONCE_BYTES = 12
# What Redis needs for a kept answer beside its bytes: its name, twice, and its places.
ENTRY_BYTES = 400

# KEYS recording awaited; ARGV the running value, lease_ms. Returns whether somebody waits, or -1.
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('EXISTS', KEYS[2])
"""
# KEYS recording, shelf, sizes; ARGV the running value, the kept value, the unkept one, keep_ms,
# what a wallet and its shard may have, wallet_id, name. The shelf has a shard's answers by when
# they go, as wallet_id:bytes:name; the sizes are their sums, of each wallet and in all.
# Returns 1 if it was kept, 0 if there is no room left, -1 if another recording has begun.
_KEEP = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do
  local wallet, bytes = string.match(gone, '^(%d+):(%d+):')
  if redis.call('HINCRBY', KEYS[3], wallet, '-' .. bytes) <= 0 then
    redis.call('HDEL', KEYS[3], wallet)
  end
  redis.call('HINCRBY', KEYS[3], 'all', '-' .. bytes)
  redis.call('ZREM', KEYS[2], gone)
end
local bytes = #ARGV[2] + ENTRY_BYTES
local of_wallet = tonumber(redis.call('HGET', KEYS[3], ARGV[7]) or '0')
local of_all = tonumber(redis.call('HGET', KEYS[3], 'all') or '0')
if of_wallet + bytes > tonumber(ARGV[5]) or of_all + bytes > tonumber(ARGV[6]) then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  return 0
end
local member = string.format('%s:%d:%s', ARGV[7], bytes, ARGV[8])
if redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[4]), member) == 1 then
  redis.call('HINCRBY', KEYS[3], ARGV[7], bytes)
  redis.call('HINCRBY', KEYS[3], 'all', bytes)
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
return 1
""".replace("ENTRY_BYTES", str(ENTRY_BYTES))
# KEYS recording; ARGV the running value.
_DROP = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class State(Enum):
    """The state of the first request's recording."""

    RUNNING = "running"
    KEPT = "kept"
    UNKEPT = "unkept"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Identifies equal requests: those of an API key with this idempotency key, or this body.

    Its properties are worked out when they are asked for: most requests are never sent again.
    """

    wallet_id: int
    api_key_id: int
    endpoint: str
    idempotency_key: str
    body: bytes

    @property
    def name(self) -> str:
        """The name that a request shares with its repetitions and with no other request."""
        shared = self.idempotency_key.encode() or self._whole()
        scope = f"{bool(self.idempotency_key)}:{self.api_key_id}".encode()
        return hashlib.blake2b(shared, key=scope, digest_size=16).hexdigest()

    @property
    def key(self) -> str:
        """The recording's key in Redis."""
        return f"{keys.prefix(keys.shard_of(self.wallet_id))}:answer:{self.name}"

    @property
    def awaited_key(self) -> str:
        """The Redis key that exists while a request waits for the recording."""
        return f"{self.key}:awaited"

    @property
    def shelf_key(self) -> str:
        """The Redis key of the shard's kept answers, by when they go."""
        return f"{keys.prefix(keys.shard_of(self.wallet_id))}:answers"

    @property
    def sizes_key(self) -> str:
        """The Redis key of the kept bytes of the shard's wallets."""
        return f"{keys.prefix(keys.shard_of(self.wallet_id))}:answers:bytes"

    def digest(self) -> str:
        """Return a digest that tells bodies apart and, without SECRET_KEY, reveals nothing."""
        return _keyed(self._whole(), b"digest").hex()

    def seal(self, answer: bytes) -> bytes:
        """Encrypt an answer so that only a request with the same body can decrypt it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(_keyed(self._whole(), b"seal")).encrypt(nonce, answer, None)

    def unseal(self, sealed: bytes) -> bytes:
        """Decrypt an answer."""
        cipher = AESGCM(_keyed(self._whole(), b"seal"))
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)

    def _whole(self) -> bytes:
        return b"%b\n%b" % (self.endpoint.encode(), self.body)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording as it was found."""

    state: State
    # The first request's id.
    request_id: str
    digest: str
    headers: dict[str, str]
    sealed: bytes = b""

    def pack(self) -> bytes:
        """Return it as it is stored."""
        head = [self.state.value, self.request_id, self.digest, self.headers]
        return orjson.dumps(head) + b"\n" + self.sealed

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read it as it is stored."""
        head, _, sealed = packed.partition(b"\n")
        state, request_id, digest, headers = orjson.loads(head)
        return cls(State(state), request_id, digest, headers, sealed)


class Recordings:
    """The recordings of all wallets. One per process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, url: str) -> Self:
        """Return a client. The first command opens the socket."""
        return cls(Connection(url))

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def claim(self, ticket: Ticket, running: bytes) -> Recorded | None:
        """Start a recording. Returns the one that exists already, or None."""
        found = await self._ask(
            "SET", ticket.key, running, "NX", "GET", "PX", _milliseconds(LEASE_S)
        )
        return None if found is None else Recorded.unpack(found)

    async def find(self, ticket: Ticket) -> Recorded | None:
        """Look for a recording."""
        found = await self._ask("GET", ticket.key)
        return None if found is None else Recorded.unpack(found)

    async def wait_for(self, ticket: Ticket) -> Recorded | None:
        """Look for a recording, and note for its process that a request waits."""
        awaited = self._ask("SET", ticket.awaited_key, 1, "PX", _milliseconds(AWAITED_S))
        _, found = await asyncio.gather(awaited, self.find(ticket))
        return found

    async def renew(self, ticket: Ticket, running: bytes) -> bool:
        """Renew a running recording's lease. Returns whether a request waits for it."""
        renewed = await self._evaluate(
            _RENEW, (ticket.key, ticket.awaited_key), running, _milliseconds(LEASE_S)
        )
        return bool(renewed == 1)

    async def keep(
        self, ticket: Ticket, running: bytes, *, kept: bytes, unkept: bytes, seconds: float
    ) -> bool:
        """End a recording with its answer. False if it is not kept."""
        ended = await self._evaluate(
            _KEEP,
            (ticket.key, ticket.shelf_key, ticket.sizes_key),
            running,
            kept,
            unkept,
            _milliseconds(seconds),
            settings.IDEMPOTENCY_WALLET_BYTES,
            # Of each shard its part: one script can't see two of them.
            settings.IDEMPOTENCY_TOTAL_BYTES // keys.SHARDS,
            ticket.wallet_id,
            ticket.name,
        )
        return bool(ended == 1)

    async def drop(self, ticket: Ticket, running: bytes) -> None:
        """End a recording without an answer: a request sent again starts anew."""
        await self._evaluate(_DROP, (ticket.key,), running)

    async def _evaluate(
        self, script: str, script_keys: tuple[str, ...], *arguments: str | bytes | int
    ) -> Any:
        return await self._ask("EVAL", script, len(script_keys), *script_keys, *arguments)

    async def _ask(self, *parts: str | bytes | int) -> Any:
        try:
            return await self._connection.command(*parts)
        except (ConnectionLost, CommandRefused) as error:
            raise WalletRecovering(str(error)) from error


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1_000)


def _keyed(body: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(
        body, key=_secret(settings.SECRET_KEY), person=purpose, digest_size=32
    ).digest()


@lru_cache(maxsize=2)
def _secret(secret_key: str) -> bytes:
    return hashlib.sha256(secret_key.encode()).digest()
