"""Take over the journals of web processes that are gone, and give every request its end.

A file is deleted only when PostgreSQL has a record of each request that ended in it, so that the
journals alone can restore what Redis decided and the drain had not booked.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.conf import settings

from billing.exceptions import UnknownHold
from billing.journal import JournalContents, adoptable_files
from billing.models import UsageRecord
from billing.services.reaper import abandoned
from billing.usage import RequestFacts, Settlement
from billing.wallet import calls
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

log = structlog.get_logger(__name__)

QUERY_BATCH = 10_000


def adopt_journals(directory: Path | None = None) -> int:
    """Settle what lost processes left open. Returns how many files were finished.

    Safe to repeat and to run at once. Raises WalletRecovering.
    """
    client = get_sync_client()
    finished = 0
    for path in adoptable_files(directory or settings.JOURNAL_DIR):
        contents = JournalContents()
        contents.read(path)
        if _adopt(client, contents):
            path.unlink(missing_ok=True)
            finished += 1
    return finished


def _adopt(client: SyncWalletClient, contents: JournalContents) -> bool:
    """Settle everything in a file. True once PostgreSQL has booked all of it."""
    left_open = [] if contents.is_rotated else contents.open_requests()
    requests = [facts.request_id for facts, _ in left_open] + list(contents.ended)
    booked = booked_requests(requests)
    for facts, held_credits in left_open:
        if facts.request_id not in booked:
            abandon(client, facts, held_credits)
    for facts, settlement in contents.ended.values():
        if not is_booked(booked, facts.request_id, settlement.target_credits):
            settle_late(client, facts, settlement, contents)
    return all(is_booked(booked, *due) for due in _due(contents, left_open))


def _due(
    contents: JournalContents, left_open: list[tuple[RequestFacts, int]]
) -> list[tuple[str, int]]:
    return [(facts.request_id, 0) for facts, _ in left_open] + [
        (request_id, settlement.target_credits)
        for request_id, (_, settlement) in contents.ended.items()
    ]


def abandon(client: SyncWalletClient, facts: RequestFacts, held_credits: int) -> None:
    """End a request whose process died in the middle, at its last progress."""
    ending = abandoned(int(time.time() * 1_000))
    call = calls.reap(facts.wallet_id, facts.request_id, without_progress=ending, is_dead=True)
    try:
        calls.parse_ended(client.ask(call))
    except UnknownHold:
        # Redis lost the hold and its progress with it; the receipt says so, at no charge.
        _readmit(client, facts, held_credits)
        calls.parse_settle(client.ask(calls.settle(facts, ending)))


def settle_late(
    client: SyncWalletClient,
    facts: RequestFacts,
    settlement: Settlement,
    contents: JournalContents,
) -> None:
    """Settle an end that Redis may have missed. Safe to repeat."""
    call = calls.settle(facts, settlement)
    try:
        calls.parse_settle(client.ask(call))
    except UnknownHold:
        log.warning("settled_late", request_id=facts.request_id)
        _, held_credits = contents.held.get(facts.request_id, (facts, 0))
        _readmit(client, facts, held_credits)
        calls.parse_settle(client.ask(call))


@dataclass(frozen=True, slots=True)
class Booked:
    """What PostgreSQL has of a request."""

    target_credits: int
    charged_credits: int


def booked_requests(request_ids: list[str]) -> dict[str, Booked]:
    """Return what PostgreSQL has of these requests, by request id."""
    found: dict[str, Booked] = {}
    for first in range(0, len(request_ids), QUERY_BATCH):
        some = request_ids[first : first + QUERY_BATCH]
        records = UsageRecord.objects.filter(request_id__in=some)
        for request_id, target, charged in records.values_list(
            "request_id", "target_credits", "charged_credits"
        ):
            found[request_id] = Booked(target, charged)
    return found


def is_booked(booked: dict[str, Booked], request_id: str, target_credits: int) -> bool:
    """Tell whether a request is booked with at least this target."""
    return request_id in booked and booked[request_id].target_credits >= target_credits


def _readmit(client: SyncWalletClient, facts: RequestFacts, held_credits: int) -> None:
    record = UsageRecord.objects.filter(request_id=facts.request_id).first()
    calls.parse_ok(
        client.ask(
            calls.readmit(
                facts,
                held=record.held_credits if record else held_credits,
                charged=record.charged_credits if record else 0,
                target=record.target_credits if record else 0,
            )
        )
    )
