"""The audit's comparison of Redis with PostgreSQL. Yields (invariant, subject, problem)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models import Sum
from django.db.models.functions import Coalesce

from accounts.models import ApiKey
from billing.exceptions import WalletRecovering
from billing.models import Wallet
from billing.wallet import calls, keys
from billing.wallet.events import MalformedEvent, read_amounts
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

Difference = tuple[int, str, str]

FIELDS = ("base", "pend", "held", "credited", "v", "state", "debt", "open")
KEY_FIELDS = ("open", "held", "spent")


@dataclass
class KeySums:
    """What the holds and events of one API key add up to."""

    open: int = 0
    held: int = 0
    pend: int = 0


@dataclass
class RedisFigures:
    """What Redis says of all wallets."""

    wallets: dict[int, dict[str, str]] = field(default_factory=dict)
    pend: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    # By wallet, and by API key: what is open, held and spent but not booked.
    open: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    keys: dict[int, "KeySums"] = field(default_factory=lambda: defaultdict(KeySums))
    api_keys: dict[int, dict[str, int]] = field(default_factory=dict)
    events: int = 0
    malformed: list[str] = field(default_factory=list)
    holds: int = 0


def differences(*, at_rest: bool) -> Iterator[Difference]:
    """Yield every difference as of now; under traffic some of them are only passing."""
    client = get_sync_client()
    _demand_open(client)
    rows = list(Wallet.objects.order_by("pk"))
    booked = _booked_by_key()
    figures = _read(client, [row.pk for row in rows], list(booked))
    for row in rows:
        yield from _compare(row, figures, at_rest=at_rest)
    for (wallet_id, api_key_id), spent in booked.items():
        if wallet_id in figures.wallets:
            yield from _compare_key(api_key_id, spent, figures)
    for name in figures.malformed:
        yield 4, f"event {name}", "it can't be read"
    if at_rest and figures.events:
        yield 4, "streams", f"{figures.events} events are not booked"
    if at_rest and figures.holds:
        yield 4, "leases", f"{figures.holds} holds are open"


def _demand_open(client: SyncWalletClient) -> None:
    shards = range(keys.SHARDS)
    for reply in client.ask_many([calls.status(shard) for shard in shards]):
        if reply[0] != b"OK":
            raise WalletRecovering("A shard of the wallets is being rebuilt.")


def _compare(
    row: Wallet, figures: RedisFigures, *, at_rest: bool
) -> Iterator[tuple[int, str, str]]:
    subject = f"wallet {row.pk}"
    found = figures.wallets.get(row.pk)
    if found is None:
        # A wallet that nobody has used yet is pushed when it is first asked for.
        if row.pushed_version:
            yield 4, subject, "Redis does not know it"
        return
    base, pend, held = (int(found[name]) for name in ("base", "pend", "held"))
    if base - pend - held < 0:
        yield 2, subject, f"available is {base - pend - held}"
    if pend != figures.pend[row.pk]:
        yield 4, subject, f"pend is {pend}, its events add up to {figures.pend[row.pk]}"
    if held != figures.held[row.pk]:
        yield 4, subject, f"held is {held}, its holds add up to {figures.held[row.pk]}"
    if int(found["open"]) != figures.open[row.pk]:
        yield 4, subject, f"open is {found['open']}, there are {figures.open[row.pk]} holds"
    mine = (row.credited_credits, row.version, row.state, row.debt_credits)
    theirs = (int(found["credited"]), int(found["v"]), found["state"], int(found["debt"]))
    if mine != theirs:
        yield 4, subject, f"PostgreSQL says {mine}, Redis {theirs}"
    elif not pend and base != row.posted_credits:
        yield 4, subject, f"base is {base}, posted {row.posted_credits}"
    if at_rest and (pend or held):
        yield 4, subject, f"not at rest: pend {pend}, held {held}"


def _booked_by_key() -> dict[tuple[int, int], int]:
    """Return what PostgreSQL has of each API key's spending, by wallet and key."""
    rows = ApiKey.objects.exclude(user__wallet=None).annotate(
        spent=Coalesce(Sum("spending__charged_credits"), 0)
    )
    return {
        (wallet_id, api_key_id): int(spent)
        for wallet_id, api_key_id, spent in rows.order_by().values_list(
            "user__wallet", "pk", "spent"
        )
    }


def _compare_key(api_key_id: int, booked: int, figures: RedisFigures) -> Iterator[Difference]:
    sums = figures.keys[api_key_id]
    expected = {"open": sums.open, "held": sums.held, "spent": booked + sums.pend}
    # One that nobody used in this epoch is not there, and counts as 0.
    found = figures.api_keys.get(api_key_id, dict.fromkeys(KEY_FIELDS, 0))
    if found != expected:
        yield 8, f"API key {api_key_id}", f"Redis says {found}, it adds up to {expected}"


def _read(
    client: SyncWalletClient, wallet_ids: list[int], api_keys: list[tuple[int, int]]
) -> RedisFigures:
    figures = RedisFigures()
    with client.reaching():
        for shard in range(keys.SHARDS):
            _read_shard(client, shard, figures)
        pipeline = client.redis.pipeline(transaction=False)
        for wallet_id in wallet_ids:
            pipeline.hmget(keys.wallet(wallet_id), *FIELDS)
        for wallet_id, values in zip(wallet_ids, pipeline.execute(), strict=True):
            if values[0] is not None:
                texts = [value.decode() for value in values]
                figures.wallets[wallet_id] = dict(zip(FIELDS, texts, strict=True))
        _read_api_keys(client, api_keys, figures)
    return figures


def _read_api_keys(
    client: SyncWalletClient, api_keys: list[tuple[int, int]], figures: RedisFigures
) -> None:
    pipeline = client.redis.pipeline(transaction=False)
    for shard in range(keys.SHARDS):
        pipeline.get(keys.fence(shard))
    epochs = pipeline.execute()
    for wallet_id, api_key_id in api_keys:
        pipeline.hmget(keys.api_key(wallet_id, api_key_id), "e", *KEY_FIELDS)
    for (wallet_id, api_key_id), (epoch, *values) in zip(api_keys, pipeline.execute(), strict=True):
        if epoch is not None and epoch == epochs[keys.shard_of(wallet_id)]:
            figures.api_keys[api_key_id] = dict(zip(KEY_FIELDS, map(int, values), strict=True))


def _read_shard(client: SyncWalletClient, shard: int, figures: RedisFigures) -> None:
    for event_id, fields in client.redis.xrange(keys.events(shard)):
        figures.events += 1
        try:
            event = read_amounts(event_id, fields)
        except MalformedEvent:
            figures.malformed.append(f"{keys.events(shard)} {event_id.decode()}")
        else:
            figures.pend[event.wallet_id] += event.delta
            figures.keys[event.api_key_id].pend += event.delta
    members = [member.decode() for member in client.redis.zrange(keys.leases(shard), 0, -1)]
    pipeline = client.redis.pipeline(transaction=False)
    for request_id in members:
        pipeline.hmget(keys.register(shard, request_id), "s", "w", "a", "k")
    for state, owner, amount, counts_for in pipeline.execute():
        if state == b"open":
            api_key_id = (counts_for or b"0").split()[0]
            figures.held[int(owner)] += int(amount)
            figures.open[int(owner)] += 1
            figures.keys[int(api_key_id)].held += int(amount)
            figures.keys[int(api_key_id)].open += 1
            figures.holds += 1
