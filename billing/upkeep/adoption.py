"""Take over the journals of web processes that are gone, and give every request its end.

A file is deleted only when PostgreSQL has a record of each request that ended in it, so that the
journals alone can restore what Redis decided and the drain had not booked.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings

from billing.exceptions import UnknownHold, WalletMissing, WalletRecovering
from billing.ledger.inbox import file_item
from billing.ledger.loads import load_wallets
from billing.models import UsageRecord
from billing.upkeep.reaper import abandoned
from billing.wallet.commands import ending
from billing.wallet.commands.ending import Reaped
from billing.wallet.journal import JournalContents, adoptable_files
from billing.wallet.rebuild_barrier import no_rebuild_meanwhile
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from billing.wallet.usage import RequestFacts, Settlement
from common.batches import batches

log = structlog.get_logger(__name__)

QUERY_BATCH = 10_000
COMMAND_BATCH = 500

# The suffix of a file with unreadable lines, which is kept for a person.
DAMAGED = ".damaged"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended, and what was held for it."""

    facts: RequestFacts
    settlement: Settlement
    held_credits: int


@dataclass(frozen=True, slots=True)
class Booked:
    """What PostgreSQL has of a request."""

    target_credits: int
    charged_credits: int


def adopt_journals(directory: Path | None = None) -> int:
    """Settle what lost processes left open. Returns how many files were finished.

    Safe to repeat and to run concurrently. Raises WalletRecovering, after all that concerns shards
    that are open.
    """
    client = get_sync_client()
    open_shards = client.open_shards()
    finished = waiting = 0
    for path in adoptable_files(directory or settings.JOURNAL_DIR):
        contents = JournalContents()
        contents.read(path)
        now = contents.of_shards(open_shards)
        is_done = _adopt(client, now)
        if len(now) < len(contents):
            waiting += 1
        elif is_done:
            _finish(path, contents)
            finished += 1
    if waiting:
        raise WalletRecovering(f"{waiting} journals have requests of shards that are closed.")
    return finished


def booked_requests(request_ids: Iterable[str]) -> dict[str, Booked]:
    """Return what PostgreSQL has of these requests, by request id."""
    found: dict[str, Booked] = {}
    for some in batches(request_ids, QUERY_BATCH):
        records = UsageRecord.objects.filter(request_id__in=some)
        for request_id, target, charged in records.values_list(
            "request_id", "target_credits", "charged_credits"
        ):
            found[request_id] = Booked(target, charged)
    return found


def is_booked(booked: dict[str, Booked], request_id: str, target_credits: int) -> bool:
    """Return whether a request is booked with at least this target."""
    return request_id in booked and booked[request_id].target_credits >= target_credits


def _adopt(client: SyncWalletClient, contents: JournalContents) -> bool:
    """Settle everything in a file. True once PostgreSQL has booked all of it."""
    left_open = [] if contents.is_rotated else contents.open_requests()
    booked = booked_requests([facts.request_id for facts, _ in left_open] + list(contents.ended))
    abandoned_now = [hold for hold in left_open if hold[0].request_id not in booked]
    ended_now = [
        Ending(facts, settlement, contents.held.get(request_id, (facts, 0))[1])
        for request_id, (facts, settlement) in contents.ended.items()
        if not is_booked(booked, request_id, settlement.target_credits)
    ]
    _void(client, [contents.held[r][0] for r in contents.voided if r in contents.held])
    lost = _abandon(client, abandoned_now, contents.if_lost)
    to_be_booked = [*lost, *_replay(client, ended_now)]
    return not to_be_booked


def _void(client: SyncWalletClient, many: list[RequestFacts]) -> None:
    """Release holds whose process died before it released them."""
    for some in batches(many, COMMAND_BATCH):
        for reply in client.ask_many([ending.void(facts) for facts in some]):
            try:
                ending.parse_ended(reply)
            except UnknownHold:
                continue


def _abandon(
    client: SyncWalletClient,
    many: list[tuple[RequestFacts, int]],
    if_lost: dict[str, Settlement],
) -> Iterator[RequestFacts]:
    """End requests whose process died in the middle. Yields those that are now to be booked.

    Without progress in Redis, a request costs what the journal says (`if_lost`): its prompt if an
    upstream was sent it, and nothing otherwise.
    """
    at_zero = abandoned(int(time.time() * 1_000))
    lost = []
    for some in batches(many, COMMAND_BATCH):
        known = [if_lost.get(facts.request_id, at_zero) for facts, _ in some]
        asked = [
            ending.reap(f.wallet_id, f.request_id, without_progress=settlement, is_dead=True)
            for (f, _), settlement in zip(some, known, strict=True)
        ]
        replies = client.ask_many(asked)
        for (facts, held), settlement, reply in zip(some, known, replies, strict=True):
            try:
                outcome = ending.parse_reap(reply)
            except UnknownHold:
                # Redis lost the hold, and its progress with it.
                lost.append(Ending(facts, settlement, held))
            else:
                if outcome is not Reaped.VOIDED:
                    yield facts
    yield from _settle_late(client, lost)


def _replay(client: SyncWalletClient, many: list[Ending]) -> Iterator[RequestFacts]:
    """Settle ends that Redis may have missed. Yields what is now to be booked."""
    lost = []
    for some in batches(many, COMMAND_BATCH):
        asked = [ending.settle(end.facts, end.settlement) for end in some]
        for end, reply in zip(some, client.ask_many(asked), strict=True):
            try:
                ending.parse_settle(reply)
            except UnknownHold:
                lost.append(end)
            else:
                yield end.facts
    yield from _settle_late(client, lost)


def _settle_late(client: SyncWalletClient, many: list[Ending]) -> Iterator[RequestFacts]:
    """Settle requests that Redis does not know, from what PostgreSQL has of them.

    No rebuild comes between the reading and the settling: Redis would forget that a request was
    settled meanwhile, and charge it again.
    """
    for some in batches(many, COMMAND_BATCH):
        load_wallets({end.facts.wallet_id for end in some})
        with no_rebuild_meanwhile():
            booked = booked_requests(end.facts.request_id for end in some)
            for end in some:
                if is_booked(booked, end.facts.request_id, end.settlement.target_credits):
                    continue
                log.warning("settled_late", request_id=end.facts.request_id)
                _ask_late(client, end, booked.get(end.facts.request_id, Booked(0, 0)))
                yield end.facts


def _ask_late(client: SyncWalletClient, end: Ending, booked: Booked) -> None:
    command = ending.settle_late(
        end.facts,
        end.settlement,
        held=end.held_credits,
        charged=booked.charged_credits,
        target=booked.target_credits,
    )
    try:
        ending.parse_settle(client.ask(command))
    except WalletMissing:
        # The wallets were rebuilt since it was loaded; the next sweep settles.
        log.info("settle_postponed", request_id=end.facts.request_id)


def _finish(path: Path, contents: JournalContents) -> None:
    """Remove a booked file; one with unreadable lines is renamed and kept for a person."""
    if not contents.unreadable_lines:
        path.unlink(missing_ok=True)
        return
    file_item(
        kind="journal_damaged",
        reference=path.name[-120:],
        summary=f"A journal has {contents.unreadable_lines} lines that can't be read.",
    )
    path.rename(path.with_name(path.name + DAMAGED))
