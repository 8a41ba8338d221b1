"""What a web process knows of API keys: read from PostgreSQL, kept for seconds.

A change of a key raises the wallet's version, and a hold placed with an older version is refused
as stale. So a revoked key stops at once although it is cached here.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from accounts.api_keys import is_in_force, keys_with_digest
from accounts.models import ApiKey
from billing.keys.limits import limits_of
from billing.keys.refusals import Ended
from billing.ledger.member_spending import count_member, member_of
from billing.ledger.wallets import get_wallet
from billing.wallet.limits import Limits
from common.client_networks import read_network
from proxy.database import PATIENCE_S, ask_database, in_database
from proxy.http.client_address import Address, Network, is_within
from proxy.serving.fair import FairQueue

K = TypeVar("K")
V = TypeVar("V")

# Per process. Keys beyond it are read again, which costs a query and causes no error.
MAX_KEYS = 20_000
# Unknown keys are remembered apart, so that a flood of them can't push out the real ones.
MAX_UNKNOWN = 2_000


@dataclass(frozen=True, slots=True)
class KeyAbout:
    """What only the key's owner needs to know of it."""

    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    # During a rotation: the hint of the old secret, and when it ends.
    previous_hint: str | None
    previous_expires_at: datetime | None
    team_id: str
    team_name: str


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A usable API key and the wallet that it spends from."""

    digest: str
    api_key_id: int
    wallet_id: int
    # Whose caps its requests count for.
    member_id: int
    wallet_version: int
    limits: Limits
    # When this secret stops working: when the key expires or, for an old secret, its rotation ends.
    expires_at: datetime | None
    # If these two are empty, all models and all networks are allowed.
    allowed_models: frozenset[str]
    allowed_networks: tuple[Network, ...]
    # Its owner paused it: it is known, and refused.
    is_paused: bool
    # Whether this secret ends with a rotation under way.
    is_old_secret: bool
    about: KeyAbout

    def may_call(self, model_name: str) -> bool:
        """Tell whether the key may use a model."""
        return not self.allowed_models or model_name in self.allowed_models

    def may_come_from(self, address: Address | None) -> bool:
        """Tell whether an address is in the allowed networks. An unknown one is not."""
        return address is not None and is_within(address, self.allowed_networks)

    def is_expired(self) -> bool:
        """Tell whether the key has expired since it was read."""
        return self.expires_at is not None and timezone.now() >= self.expires_at

    def as_ended(self) -> "EndedKey":
        """Return it as one that has expired."""
        why = Ended.ROTATED if self.is_old_secret else Ended.EXPIRED
        return EndedKey(self.wallet_id, self.api_key_id, why)


@dataclass(frozen=True, slots=True)
class EndedKey:
    """A key that is refused for good, though a program still calls with it."""

    wallet_id: int
    api_key_id: int
    why: Ended


class KeyCache:
    """Keys by digest. Also remembers digests that have no usable key."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, KeyFacts]] = {}
        self._unknown: dict[str, tuple[float, EndedKey | None]] = {}
        self._loading: dict[str, asyncio.Task[KeyFacts | EndedKey | None]] = {}
        self._meeting: dict[str, asyncio.Task[KeyFacts | EndedKey | None]] = {}
        self._counting: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._strangers = FairQueue(1)

    async def find(
        self, digest: str, get_caller: Callable[[], Hashable] = lambda: None
    ) -> KeyFacts | EndedKey | None:
        """Return a key or None, from memory if it was read within KEY_CACHE_S.

        Raises OperationalError.
        """
        now = time.monotonic()
        if (entry := self._known.get(digest)) and now < entry[0]:
            return entry[1].as_ended() if entry[1].is_expired() else entry[1]
        if (refused := self._unknown.get(digest)) and now < refused[0]:
            return refused[1]
        if digest in self._known:
            return await self.reload(digest)
        caller = get_caller()
        return await _once(self._meeting, digest, lambda: self._meet(digest, caller))

    async def _meet(self, digest: str, caller: Hashable) -> KeyFacts | EndedKey | None:
        """Look for a key that was never used here: one at a time, and the callers in turn.

        All that come with one key at once share a turn. So a flood of unknown keys costs other
        customers nothing, and other callers little.
        """
        try:
            async with asyncio.timeout(PATIENCE_S), self._strangers.enter(caller):
                started = time.monotonic()
                facts = await self.reload(digest)
                if not isinstance(facts, KeyFacts):
                    # As long a rest: at most half of the time goes into keys that nobody has.
                    await asyncio.sleep(time.monotonic() - started)
                return facts
        except TimeoutError as error:
            raise OperationalError("There are too many unknown keys.") from error

    async def reload(self, digest: str) -> KeyFacts | EndedKey | None:
        """Read a key anew. Simultaneous calls share one query."""
        return await _once(self._loading, digest, lambda: self._load(digest))

    async def count_member(self, key: KeyFacts) -> None:
        """Have Redis count what a key's member spends. Simultaneous calls share one count.

        Raises WalletStale, WalletMissing, WalletRecovering, OperationalError.
        """
        name = key.wallet_id, key.member_id
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _once(self._counting, name, lambda: in_database(count_member, *name))
        except TimeoutError as error:
            raise OperationalError("The member was not counted in time.") from error

    async def _load(self, digest: str) -> KeyFacts | EndedKey | None:
        facts = await ask_database(load_key, digest)
        expires = time.monotonic() + settings.KEY_CACHE_S
        if isinstance(facts, KeyFacts):
            self._unknown.pop(digest, None)
            _remember(self._known, digest, (expires, facts), most=MAX_KEYS)
        else:
            self._known.pop(digest, None)
            _remember(self._unknown, digest, (expires, facts), most=MAX_UNKNOWN)
        return facts


async def _once(
    under_way: dict[K, asyncio.Task[V]], name: K, begin: Callable[[], Coroutine[Any, Any, V]]
) -> V:
    """Return what is done under a name. Simultaneous calls share it, and none of them ends it."""
    task = under_way.get(name)
    if task is None:
        task = under_way[name] = asyncio.create_task(begin())
        task.add_done_callback(lambda _: under_way.pop(name, None))
    return await asyncio.shield(task)


def load_key(digest: str) -> KeyFacts | EndedKey | None:
    """Read a key and its wallet in one query, so that the version fits the key."""
    now = timezone.now()
    key = (
        keys_with_digest(digest)
        .select_related("team__wallet", "team__person", "created_by")
        .first()
    )
    if key is None:
        return None
    wallet = getattr(key.team, "wallet", None) or get_wallet(key.team)
    is_old_secret = key.digest != digest
    if why := _why_ended(key, now, is_old_secret=is_old_secret):
        return EndedKey(wallet.pk, key.pk, why)
    ends = [key.expires_at, key.previous_expires_at if is_old_secret else None]
    return KeyFacts(
        digest=digest,
        api_key_id=key.pk,
        wallet_id=wallet.pk,
        member_id=member_of(key),
        wallet_version=wallet.version,
        limits=limits_of(key, wallet),
        expires_at=min((end for end in ends if end is not None), default=None),
        allowed_models=frozenset(key.allowed_models),
        allowed_networks=tuple(read_network(text) for text in key.allowed_networks),
        is_paused=key.paused_at is not None,
        is_old_secret=is_old_secret,
        about=_describe(key, now),
    )


def _why_ended(key: ApiKey, now: datetime, *, is_old_secret: bool) -> Ended | None:
    if key.revoked_at is not None:
        return Ended.REVOKED
    if not is_in_force(key):
        return Ended.LEFT
    if is_old_secret and not key.is_rotating(now):
        return Ended.ROTATED
    return None if key.is_usable(now) else Ended.EXPIRED


def _describe(key: ApiKey, now: datetime) -> KeyAbout:
    is_rotating = key.is_rotating(now)
    return KeyAbout(
        name=key.name,
        hint=key.hint,
        created_at=key.created_at,
        expires_at=key.expires_at,
        previous_hint=key.previous_hint if is_rotating else None,
        previous_expires_at=key.previous_expires_at if is_rotating else None,
        team_id=str(key.team.public_id),
        team_name=str(key.team),
    )


def _remember(entries: dict[str, V], digest: str, value: V, *, most: int) -> None:
    # A dictionary keeps the order of insertion: its first entry was read longest ago.
    entries.pop(digest, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[digest] = value
