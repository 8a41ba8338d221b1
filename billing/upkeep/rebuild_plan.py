"""Work out what a shard's wallets must look like, from all that is known of them.

PostgreSQL says what is booked, Redis (as it came back) what it had decided and held, the journals
what the web processes started and ended. Per wallet
of which something is under way; of all others PostgreSQL knows everything:

    base = posted      pend = events not booked      held = requests started and not ended

and per API key, whose caps count both:

    spent = booked + events not booked              held = as above

* An event is booked if the receipt or debit that it leads to has at least its target and charge.
* A hold without a line in the journals never called its upstream: the line comes first. Redis may
  have come back from before it was voided, so others may hold its credits now: it is dropped.
* A request that ended, and whose settlement Redis forgot, is put back as a hold of what it cost,
  with an expired lease and its end as its progress: the reaper settles it, in full up to its hold,
  even if this rebuild dies right after the opening.
* `available` can't come out below 0, whatever was lost. If more was held than there is, another
  request spent what a forgotten ending had released, and holds shrink: those of requests that still
  run, the oldest first, and then those of requests that ended. What they can't pay is written off.
* Events can't take more than is posted. They would if Redis came back with decisions of which the
  journals know nothing, and the credits went elsewhere since: the last events are cut.

No I/O here except queries to PostgreSQL, inside the rebuild's snapshot.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import structlog

from billing.ledger.bookings import booked_debits, is_covered
from billing.upkeep.adoption import Booked, booked_requests
from billing.upkeep.remains import Remains
from billing.wallet import keys
from billing.wallet.commands.restoring import (
    HOLDS_NOTHING,
    BookedWallet,
    LostHold,
    RestoredKey,
    Spent,
)
from billing.wallet.events import Amounts
from billing.wallet.journal import JournalContents
from billing.wallet.usage import RequestFacts, Settlement

log = structlog.get_logger(__name__)

NOTHING = Booked(0, 0)


@dataclass(frozen=True, slots=True)
class CorrectedEvent:
    """An event's corrected amount, and the corrected total charge of its register."""

    reference: str
    delta: int
    charged: int


@dataclass
class Plan:
    """What has to change in one closed shard before it may be opened."""

    shard: int
    pend: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    # The same by API key and month.
    unbooked: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    # Registers whose events stay.
    kept_registers: set[str] = field(default_factory=set)
    kept_holds: dict[str, tuple[RequestFacts, int]] = field(default_factory=dict)
    lost_holds: dict[str, LostHold] = field(default_factory=dict)
    forgotten_events: list[str] = field(default_factory=list)
    forgotten_holds: list[str] = field(default_factory=list)
    corrected_events: dict[str, CorrectedEvent] = field(default_factory=dict)
    # What is booked, or will be once the events that stay are.
    known: dict[str, Booked] = field(default_factory=dict)

    def held(self) -> dict[int, int]:
        """Return the credits held, by wallet."""
        held: dict[int, int] = defaultdict(int)
        for facts, amount in self._holds().values():
            held[facts.wallet_id] += amount
        return held

    def open(self) -> dict[int, int]:
        """Return how many holds are open, by wallet."""
        return Counter(facts.wallet_id for facts, _ in self._holds().values())

    def api_keys(self, booked: Iterable[Spent]) -> dict[int, RestoredKey]:
        """Return what keys have open, hold and spent, given what is booked."""
        keys: dict[int, RestoredKey] = defaultdict(RestoredKey)
        unbooked = [Spent(*name, amount) for name, amount in self.unbooked.items()]
        for api_key_id, month, amount in [*booked, *unbooked]:
            keys[api_key_id].spent += amount
            keys[api_key_id].month(month).spent += amount
        for facts, amount in self._holds().values():
            key = keys[facts.api_key_id]
            key.open += 1
            key.held += amount
            key.month(facts.month).held += amount
        return keys

    def registers(self) -> dict[str, int]:
        """Return what stays in Redis: the credits that each register holds, or HOLDS_NOTHING."""
        holds = {request_id: amount for request_id, (_, amount) in self.kept_holds.items()}
        return dict.fromkeys(self.kept_registers, HOLDS_NOTHING) | holds

    def shrink_to(self, wallets: list[BookedWallet]) -> None:
        """Make the holds of each wallet fit into what it has, the oldest first.

        A request that has ended was covered at that time, so its hold is cut last.
        """
        held = self.held()
        excess = {
            w.pk: held[w.pk] + self.pend.get(w.pk, 0) - w.posted_credits
            for w in wallets
            if w.pk in held
        }
        by_age = sorted(self._holds().items(), key=lambda item: item[1][0].started_at_ms)
        for request_id, (facts, amount) in sorted(by_age, key=lambda item: self._has_end(item[0])):
            cut = min(amount, excess.get(facts.wallet_id, 0))
            if cut > 0:
                excess[facts.wallet_id] -= cut
                self._set_amount(request_id, amount - cut)
                log.error("hold_shrunk", request_id=request_id, held=amount, shrunk_by=cut)

    def _holds(self) -> dict[str, tuple[RequestFacts, int]]:
        lost = {r: (hold.facts, hold.amount) for r, hold in self.lost_holds.items()}
        return self.kept_holds | lost

    def _has_end(self, request_id: str) -> bool:
        lost = self.lost_holds.get(request_id)
        return lost is not None and lost.ending is not None

    def _set_amount(self, request_id: str, amount: int) -> None:
        if request_id in self.lost_holds:
            lost = self.lost_holds[request_id]
            self.lost_holds[request_id] = replace(lost, amount=amount)
        else:
            facts, _ = self.kept_holds[request_id]
            self.kept_holds[request_id] = (facts, amount)


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the journals have of one shard: requests that started, ended, or are under way."""

    started: dict[str, tuple[RequestFacts, int]] = field(default_factory=dict)
    ended: dict[str, tuple[RequestFacts, Settlement]] = field(default_factory=dict)
    open: list[tuple[RequestFacts, int]] = field(default_factory=list)


def split_by_shard(journals: JournalContents) -> dict[int, Journalled]:
    """Return what the journals have, by shard."""
    found: dict[int, Journalled] = defaultdict(Journalled)
    for request_id, start in journals.held.items():
        found[keys.shard_of(start[0].wallet_id)].started[request_id] = start
    for request_id, end in journals.ended.items():
        found[keys.shard_of(end[0].wallet_id)].ended[request_id] = end
    for hold in journals.open_requests():
        found[keys.shard_of(hold[0].wallet_id)].open.append(hold)
    return found


def wallets_under_way(remains: Remains, journalled: Journalled) -> set[int]:
    """Return the wallets of which PostgreSQL may not know everything.

    Of any other, nothing waits in the stream and no request runs or ended without being booked.
    """
    facts = [begun for begun, _ in journalled.open]
    facts += [ended for ended, _ in journalled.ended.values()]
    return {one.wallet_id for one in facts} | {event.wallet_id for event in remains.events}


def plan_shard(
    remains: Remains, journalled: Journalled, wallets: list[BookedWallet], *, lease_ms: int
) -> Plan:
    """Return what a closed shard needs. Runs inside the rebuild's snapshot.

    `wallets` are those under way. Linear in wallets, events and lines of the journals together.
    """
    started, ended = journalled.started, journalled.ended
    plan = Plan(remains.shard)
    usage = {event.reference for event in remains.events if event.is_usage}
    plan.known = booked_requests(usage | remains.holds.keys() | started.keys() | ended.keys())
    _plan_events(plan, remains.events, {wallet.pk: wallet.posted_credits for wallet in wallets})
    _plan_ended(plan, remains, started, ended)
    _plan_open(plan, remains, journalled.open, lease_ms=lease_ms)
    stay = plan.registers().keys() | plan.lost_holds.keys()
    leased = [*remains.idle_leases, *remains.holds]
    plan.forgotten_holds = [request_id for request_id in leased if request_id not in stay]
    plan.shrink_to(wallets)
    return plan


def _plan_events(plan: Plan, events: list[Amounts], posted: dict[int, int]) -> None:
    """Keep what the stream has and PostgreSQL lacks, and drop the rest of the stream."""
    booked_debits = _booked_debits(events)
    for event in events:
        before = NOTHING
        if not event.is_usage:
            is_booked, delta = event.reference in booked_debits, event.delta
        else:
            known = plan.known.get(event.reference)
            before = known or NOTHING
            is_booked = known is not None and is_covered(
                event, target=before.target_credits, charged=before.charged_credits
            )
            delta = max(event.charged - before.charged_credits, 0)
        if is_booked:
            plan.forgotten_events.append(event.event_id)
            continue
        if event.wallet_id in posted:
            delta = _cut(event, delta, posted[event.wallet_id] - plan.pend[event.wallet_id])
        charged = before.charged_credits + delta
        plan.pend[event.wallet_id] += delta
        # An event of a release that did not count by key names no key.
        if event.is_usage and event.api_key_id:
            plan.unbooked[(event.api_key_id, event.month)] += delta
        plan.kept_registers.add(event.reference)
        if event.is_usage:
            plan.known[event.reference] = Booked(max(event.target, before.target_credits), charged)
        if (delta, charged) != (event.delta, event.charged):
            plan.corrected_events[event.event_id] = CorrectedEvent(event.reference, delta, charged)


def _cut(event: Amounts, delta: int, left: int) -> int:
    if delta > left:
        log.error("event_cut", event_id=event.event_id, reference=event.reference, cut=delta - left)
    return min(delta, left)


def _plan_ended(
    plan: Plan,
    remains: Remains,
    started: dict[str, tuple[RequestFacts, int]],
    ended: dict[str, tuple[RequestFacts, Settlement]],
) -> None:
    """Put back the ends that Redis forgot or knows with a lower target only."""
    for request_id, (facts, settlement) in ended.items():
        known = plan.known.get(request_id)
        target = settlement.target_credits
        if known is not None and known.target_credits >= target:
            continue
        if known is not None:
            # It was settled at a lower target before; its hold is gone.
            plan.lost_holds[request_id] = LostHold(
                facts,
                amount=0,
                lease_ms=0,
                ending=settlement,
                charged=known.charged_credits,
                target=known.target_credits,
            )
            continue
        _, started_with = started.get(request_id, (facts, 0))
        held = remains.holds.get(request_id, started_with)
        plan.lost_holds[request_id] = LostHold(
            facts, amount=min(held, target), lease_ms=0, ending=settlement
        )


def _plan_open(
    plan: Plan,
    remains: Remains,
    open_requests: list[tuple[RequestFacts, int]],
    *,
    lease_ms: int,
) -> None:
    """Keep or put back the holds of requests that are under way."""
    for facts, held in open_requests:
        request_id = facts.request_id
        if request_id in plan.known:
            continue
        kept = remains.holds.get(request_id)
        if kept is None:
            plan.lost_holds[request_id] = LostHold(facts, amount=held, lease_ms=lease_ms)
        else:
            plan.kept_holds[request_id] = (facts, kept)


def _booked_debits(events: list[Amounts]) -> set[str]:
    """Return the references of booked debits. A reference that names no row is not among them.

    The drain reports such an event; here it must not keep its shard and all others closed.
    """
    return booked_debits(event.reference for event in events if not event.is_usage)
