"""The audit's comparison of Redis with PostgreSQL, as exact for a busy wallet as for one at rest.

What Redis has of a shard is read at one instant. A wallet that differs is read again with its row
locked: nothing is booked or credited meanwhile, and the events that are still there tell what is
booked but not acknowledged. So what differs then is wrong and not merely late, except for a push
that is due and for what `at_rest` demands.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import structlog
from django.db.models import Sum
from django.db.models.functions import Coalesce

from accounts.models import ApiKey
from billing.ledger.bookings import booked_debits
from billing.models import MemberSpending, UsageRecord, Wallet
from billing.wallet import keys
from billing.wallet.commands.shards import OpenHold
from billing.wallet.events import Amounts
from billing.wallet.hashes import KeyTotals, WalletFigures
from billing.wallet.rebuild_barrier import no_rebuild_meanwhile
from billing.wallet.shard_view import ShardView, Spender, view_shard
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

log = structlog.get_logger(__name__)

# Few enough that locking them does not hold up the drain.
BATCH = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """What Redis and PostgreSQL disagree on.

    If it `may_pass`, it counts only if it is found again with the same `stays_at`.
    """

    invariant: int
    subject: str
    problem: str
    may_pass: bool = False
    stays_at: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some wallets of one shard in PostgreSQL and in Redis."""

    rows: list[Wallet]
    # What PostgreSQL has of the spending of each API key and of each member.
    spending_of_keys: dict[Spender, int]
    spending_of_members: dict[Spender, int]
    view: ShardView
    # How much of each of the view's events is booked, in the same order.
    booked: list[int]

    def differences(self) -> dict[int, list[Difference]]:
        """Return what differs, by wallet."""
        pend, booked = Counter[int](), Counter[int]()
        for event, part in zip(self.view.events, self.booked, strict=True):
            pend[event.wallet_id] += event.delta
            booked[event.wallet_id] += part
        held, opened = Counter[int](), Counter[int]()
        for hold in self.view.holds:
            held[hold.wallet_id] += hold.amount
            opened[hold.wallet_id] += 1
        found: dict[int, list[Difference]] = {}
        for row in self.rows:
            theirs = self.view.wallets.get(row.pk)
            sums = (pend[row.pk], held[row.pk], opened[row.pk])
            found[row.pk] = [
                *(
                    _compare_figures(row, theirs, sums)
                    if theirs
                    else self._judge_unloaded(row, sums)
                ),
                *_compare_books(row, theirs, booked[row.pk]),
            ]
        of_keys = self._differences_of_spending(
            self.spending_of_keys,
            self.view.api_keys,
            "API key {1}",
            lambda one: (one.wallet_id, one.api_key_id),
        )
        of_members = self._differences_of_spending(
            self.spending_of_members,
            self.view.members,
            "member {1} of wallet {0}",
            lambda one: (one.wallet_id, one.member_id),
        )
        for wallet_id, difference in (*of_keys, *of_members):
            found[wallet_id].append(difference)
        return {wallet_id: some for wallet_id, some in found.items() if some}

    def _judge_unloaded(self, row: Wallet, sums: tuple[int, int, int]) -> Iterator[Difference]:
        """PostgreSQL knows all of a wallet that is not loaded, unless something is under way."""
        if any(sums):
            yield Difference(4, f"wallet {row.pk}", "it is not loaded, but has events or holds")
        elif self.view.is_all_loaded and row.pushed_version:
            # One that was never used is loaded when it is first asked for.
            yield Difference(4, f"wallet {row.pk}", "Redis does not know it")

    def _differences_of_spending(
        self,
        spending: dict[Spender, int],
        found: dict[Spender, KeyTotals],
        subject: str,
        spender_of: Callable[[OpenHold | Amounts], Spender],
    ) -> Iterator[tuple[int, Difference]]:
        """Compare those whom Redis counts with what is booked, waits to be, and is held."""
        sums: dict[Spender, Counter[str]] = {
            name: Counter(spent=spending[name]) for name in found if name[0] in self.view.wallets
        }
        for hold in self.view.holds:
            if (name := spender_of(hold)) in sums:
                sums[name].update(open=1, held=hold.amount)
        for event, part in zip(self.view.events, self.booked, strict=True):
            if (name := spender_of(event)) in sums:
                sums[name].update(spent=event.delta - part)
        for name, total in sums.items():
            expected = KeyTotals(**total)
            if found[name] != expected:
                problem = f"Redis says {asdict(found[name])}, it adds up to {asdict(expected)}"
                yield name[0], Difference(8, subject.format(*name), problem)


def differences(*, at_rest: bool) -> Iterator[Difference]:
    """Yield every difference as of now. Raises WalletRecovering."""
    client = get_sync_client()
    wallets: dict[int, list[int]] = {shard: [] for shard in range(keys.SHARDS)}
    for wallet_id in Wallet.objects.order_by("pk").values_list("pk", flat=True):
        wallets[keys.shard_of(wallet_id)].append(wallet_id)
    waiting: Counter[str] = Counter()
    unloaded = 0
    for shard, wallet_ids in wallets.items():
        # A shard without wallets is read too: whatever is there belongs to no wallet.
        for start in range(0, max(len(wallet_ids), 1), BATCH):
            first = _look(client, shard, wallet_ids[start : start + BATCH])
            unloaded += len(first.rows) - len(first.view.wallets)
            if start == 0:
                waiting.update(_count_waiting(first.view))
                for name in first.view.malformed:
                    yield Difference(4, f"event {name}", "it can't be read")
            if suspects := list(first.differences()):
                for found in _look_locked(client, shard, suspects).differences().values():
                    yield from found
    if unloaded:
        # Of these there is nothing to compare.
        log.info("wallets_not_loaded", wallets=unloaded)
    yield from _differences_of_waiting(waiting, at_rest=at_rest)


def _count_waiting(view: ShardView) -> dict[str, int]:
    return {
        "events": len(view.events) + len(view.malformed),
        "holds": len(view.holds),
        "idle": view.idle_leases,
    }


def _differences_of_waiting(waiting: Counter[str], *, at_rest: bool) -> Iterator[Difference]:
    if idle := waiting["idle"]:
        # The reaper drops these leases once they run out.
        yield Difference(4, "leases", f"{idle} are of no open hold", may_pass=True, stays_at=1)
    if at_rest and (events := waiting["events"]):
        yield Difference(4, "streams", f"{events} events are not booked", may_pass=True)
    if at_rest and (holds := waiting["holds"]):
        yield Difference(4, "leases", f"{holds} holds are open", may_pass=True)


def _look_locked(client: SyncWalletClient, shard: int, wallet_ids: list[int]) -> Comparison:
    """Compare wallets whose rows are locked, so that nothing is booked or credited."""
    with no_rebuild_meanwhile():
        rows = Wallet.objects.select_for_update(of=("self",), no_key=True)
        return _compare(client, shard, list(rows.filter(pk__in=wallet_ids).order_by("pk")))


def _look(client: SyncWalletClient, shard: int, wallet_ids: list[int]) -> Comparison:
    """Compare wallets without locking them."""
    return _compare(client, shard, list(Wallet.objects.filter(pk__in=wallet_ids).order_by("pk")))


def _compare(client: SyncWalletClient, shard: int, rows: list[Wallet]) -> Comparison:
    # In this order: what is booked of the events is read after the events.
    wallet_ids = [row.pk for row in rows]
    of_keys, of_members = _read_spending(wallet_ids), _read_spending_of_members(wallet_ids)
    view = view_shard(client, shard, wallet_ids, list(of_keys), list(of_members))
    booked = _read_booked(view.events, set(wallet_ids))
    return Comparison(rows, of_keys, of_members, view, booked)


def _read_spending(wallet_ids: list[int]) -> dict[Spender, int]:
    rows = ApiKey.objects.filter(team__wallet__in=wallet_ids).annotate(
        spent=Coalesce(Sum("spending__charged_credits"), 0)
    )
    return {
        (wallet_id, api_key_id): int(spent)
        for wallet_id, api_key_id, spent in rows.order_by().values_list(
            "team__wallet", "pk", "spent"
        )
    }


def _read_spending_of_members(wallet_ids: list[int]) -> dict[Spender, int]:
    rows = MemberSpending.objects.filter(wallet__in=wallet_ids).order_by()
    spent = rows.values_list("wallet", "member").annotate(spent=Sum("charged_credits"))
    return {(wallet_id, member_id): int(charged) for wallet_id, member_id, charged in spent}


def _read_booked(events: list[Amounts], wallet_ids: set[int]) -> list[int]:
    """Return how much of each event PostgreSQL has booked; 0 for events of other wallets."""
    mine = [event.reference for event in events if event.wallet_id in wallet_ids]
    records = UsageRecord.objects.filter(request_id__in=mine)
    charged = dict(records.values_list("request_id", "charged_credits"))
    decided = booked_debits(mine)
    return [
        _part_of(event, charged.get(event.reference))
        if event.is_usage
        else event.delta * (event.reference in decided)
        for event in events
    ]


def _part_of(event: Amounts, charged: int | None) -> int:
    """Return how much of an event's step from its register's last total to its next is booked."""
    before = event.charged - event.delta
    return 0 if charged is None else min(max(charged - before, 0), event.delta)


def _compare_figures(
    row: Wallet, found: WalletFigures, sums: tuple[int, int, int]
) -> Iterator[Difference]:
    """Compare a wallet's figures with the sums of its events and holds."""
    subject = f"wallet {row.pk}"
    pend, held, opened = sums
    available = found.base - found.pend - found.held
    if available < 0:
        yield Difference(2, subject, f"available is {available}")
    if found.pend != pend:
        yield Difference(4, subject, f"pend is {found.pend}, its events add up to {pend}")
    if found.held != held:
        yield Difference(4, subject, f"held is {found.held}, its holds add up to {held}")
    if found.open != opened:
        yield Difference(4, subject, f"open is {found.open}, there are {opened} holds")


def _compare_books(row: Wallet, found: WalletFigures | None, booked: int) -> Iterator[Difference]:
    """Compare a wallet's figures with PostgreSQL; `booked` is booked but not acknowledged."""
    if found is None:
        return
    subject = f"wallet {row.pk}"
    # Credits that were not pushed to Redis are not in its base either.
    base = row.posted_credits + booked - (row.credited_credits - found.credited)
    if found.base != base:
        yield Difference(4, subject, f"base is {found.base}, its books add up to {base}")
    if found.version < row.version and row.pushed_version < row.version:
        problem = f"Redis stays at version {found.version}"
        yield Difference(4, subject, problem, may_pass=True, stays_at=found.version)
        return
    mine = (row.credited_credits, row.version, row.state, row.debt_credits)
    theirs = (found.credited, found.version, found.state, found.debt)
    if mine != theirs:
        yield Difference(4, subject, f"PostgreSQL says {mine}, Redis {theirs}")
