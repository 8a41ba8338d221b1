"""Book what Redis decided: one of the two writers of entries, lots and balances.

The other is `credits.py`. This one runs inside the drain's transaction. Wallets are locked in the
order of their ids, so two drains can't deadlock. What was booked before is recognised and skipped.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from billing.exceptions import UnbookableEvent, UnknownReference
from billing.ledger.credits import order_of_use
from billing.ledger.inbox import file_items
from billing.ledger.key_use import add_spending, instant_of
from billing.ledger.lot_money import Money, add_money, sold_for
from billing.ledger.member_spending import add_spending_of_members, makers_of
from billing.ledger.pushes import push_on_commit
from billing.ledger.references import DebitRow, DebtPayment, Reference, RequestCharge, RequestRaise
from billing.ledger.write_offs import KeyHour, add_losses, key_hour_of, lost_credits
from billing.models import Debit, InboxItem, LedgerEntry, Lot, UsageRecord, Wallet
from billing.rollups.due import note_booked
from billing.token_classes import COUNTS, counts_of
from billing.wallet.events import Amounts, Event
from billing.wallet.usage import month_of
from common.copying import copy_in
from common.many_rows import set_values

Kind = LedgerEntry.Kind

# The fields of a usage record that a later settlement of its request may change.
RAISED_FIELDS = [
    "provider_name",
    "attempts",
    *COUNTS,
    "outcome",
    "source",
    "target_credits",
    "charged_credits",
    "write_off_credits",
    "ended_at",
    "first_byte_ms",
    "cost_nanos",
    "income_micros",
]


@dataclass
class Batch:
    """What one transaction will write."""

    wallets: dict[int, Wallet]
    lots: dict[int, list[Lot]]
    records: dict[str, UsageRecord]
    debits: dict[str, Debit]
    new_records: dict[str, UsageRecord] = field(default_factory=dict)
    raised_records: dict[str, UsageRecord] = field(default_factory=dict)
    # When raised records ended, before and after, by wallet.
    raised_ends: set[tuple[int, datetime]] = field(default_factory=set)
    booked_debits: dict[int, Debit] = field(default_factory=dict)
    entries: list[LedgerEntry] = field(default_factory=list)
    changed_lots: dict[int, Lot] = field(default_factory=dict)
    indebted: set[int] = field(default_factory=set)
    parked: dict[str, UsageRecord] = field(default_factory=dict)
    # What API keys were charged, by key and month.
    spent: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    # What members were charged, by wallet, member and month.
    spent_by_members: dict[tuple[int, int, int], int] = field(
        default_factory=lambda: defaultdict(int)
    )
    # Who made the keys of requests whose facts don't say whom they count for, by key.
    makers: dict[int, int] = field(default_factory=dict)
    # What requests cost beyond their charge, by key and hour.
    lost: dict[KeyHour, int] = field(default_factory=lambda: defaultdict(int))


def is_covered(event: Amounts, *, target: int, charged: int) -> bool:
    """Return whether a booked target and charge leave nothing of a settlement to book."""
    return event.target <= target and event.charged <= charged


def debit_ids_of(events: Iterable[Amounts]) -> list[int]:
    """Return the rows of those events that are debits. Raises UnbookableEvent."""
    try:
        return [DebitRow.parse(e.reference).debit_id for e in events if not e.is_usage]
    except UnknownReference as error:
        raise UnbookableEvent("A debit's reference names no row.") from error


def booked_debits(references: Iterable[str]) -> set[str]:
    """Return the references, among these of events, that name a booked debit."""
    named = (DebitRow.find(reference) for reference in references)
    rows = Debit.objects.filter(pk__in=[row.debit_id for row in named if row is not None])
    booked = rows.exclude(booked_at=None).values_list("pk", flat=True)
    return {str(DebitRow(debit_id)) for debit_id in booked}


def book(events: list[Event]) -> None:
    """Book events of any wallets, inside the caller's transaction. Safe to repeat."""
    if not events:
        return
    batch = _load(events)
    for event in events:
        if event.is_usage:
            _book_usage(batch, event)
        else:
            _book_debit(batch, event)
    _save(batch)


def _load(events: list[Event]) -> Batch:
    wallet_ids = sorted({event.wallet_id for event in events})
    wallets = Wallet.objects.select_for_update(of=("self",), no_key=True).order_by("pk")
    locked = {wallet.pk: wallet for wallet in wallets.filter(pk__in=wallet_ids)}
    lots: dict[int, list[Lot]] = defaultdict(list)
    for lot in Lot.objects.filter(wallet__in=wallet_ids, remaining_credits__gt=0):
        lots[lot.wallet_id].append(lot)
    for some in lots.values():
        some.sort(key=order_of_use)
    requests = [event.reference for event in events if event.is_usage]
    records = UsageRecord.objects.filter(request_id__in=requests)
    debit_ids = debit_ids_of(events)
    debits = Debit.objects.filter(pk__in=debit_ids)
    if len(locked) < len(wallet_ids):
        raise UnbookableEvent("There is no such wallet.")
    return Batch(
        wallets=locked,
        lots=lots,
        records={record.request_id: record for record in records},
        debits={str(DebitRow(debit.pk)): debit for debit in debits},
        makers=makers_of(event.facts for event in events if event.facts is not None),
    )


def _book_usage(batch: Batch, event: Event) -> None:
    record = batch.records.get(event.reference)
    lost_before = 0
    if record is None:
        record = _new_record(event, batch.makers)
        batch.records[event.reference] = batch.new_records[event.reference] = record
        reference: Reference = RequestCharge(event.reference)
        amount = event.charged
    else:
        if is_covered(event, target=record.target_credits, charged=record.charged_credits):
            _correct_outcome(batch, record, event)
            return
        reference = RequestRaise(event.reference, event.charged)
        lost_before = lost_credits(record)
        amount = event.charged - record.charged_credits
        ended_at = record.ended_at
        _raise_record(record, event)
        if event.reference not in batch.new_records:
            batch.raised_records[event.reference] = record
            batch.raised_ends |= {(record.wallet_id, at) for at in (ended_at, record.ended_at)}
    batch.lost[key_hour_of(record)] += lost_credits(record) - lost_before
    if record.source == UsageRecord.Source.PARKED:
        batch.parked[record.request_id] = record
    if amount > 0:
        income = _append(
            batch, event.wallet_id, kind=Kind.USAGE, reference=str(reference), amount=amount
        )
        record.income_micros = add_money(record.income_micros, income)
        month = month_of(_milliseconds(record.started_at))
        batch.spent[(record.api_key_id, month)] += amount
        if record.member_id is not None:
            batch.spent_by_members[(record.wallet_id, record.member_id, month)] += amount


def _correct_outcome(batch: Batch, record: UsageRecord, event: Event) -> None:
    """Let a receipt say how a request ended whose hold had been reaped while it went on."""
    settlement = event.settlement
    assert settlement is not None  # noqa: S101  # it is usage
    if record.outcome != UsageRecord.Outcome.ABANDONED or settlement.outcome == record.outcome:
        return
    # All else stays as charged: by the progress that was known when the hold was reaped.
    record.outcome = settlement.outcome
    if event.reference not in batch.new_records:
        batch.raised_records[event.reference] = record
        batch.raised_ends.add((record.wallet_id, record.ended_at))


def _new_record(event: Event, makers: dict[int, int]) -> UsageRecord:
    facts, settlement = event.facts, event.settlement
    assert facts is not None  # noqa: S101  # it is usage
    assert settlement is not None  # noqa: S101
    return UsageRecord(
        request_id=facts.request_id,
        wallet_id=facts.wallet_id,
        api_key_id=facts.api_key_id,
        member_id=(makers.get(facts.api_key_id) if facts.member_id is None else facts.member_id)
        or None,
        price_id=facts.price_id,
        model_name=facts.model_name,
        endpoint=facts.endpoint,
        is_stream=facts.is_stream,
        held_credits=event.held,
        income_micros={},
        started_at=instant_of(facts.started_at_ms),
        **_outcome(event),
    )


def _raise_record(record: UsageRecord, event: Event) -> None:
    """Raise charge and target; the rest is what the settlement with the highest target says."""
    charged = max(record.charged_credits, event.charged)
    if event.target >= record.target_credits:
        for name, value in _outcome(event).items():
            setattr(record, name, value)
    record.charged_credits = charged
    record.write_off_credits = record.target_credits - charged


def _outcome(event: Event) -> dict[str, object]:
    settlement = event.settlement
    assert settlement is not None  # noqa: S101  # it is usage
    return {
        "provider_name": settlement.provider_name,
        "attempts": settlement.attempts,
        **counts_of(settlement),
        "outcome": settlement.outcome,
        "source": settlement.source,
        "target_credits": event.target,
        "charged_credits": event.charged,
        "write_off_credits": event.target - event.charged,
        "ended_at": instant_of(settlement.ended_at_ms),
        "first_byte_ms": settlement.first_byte_ms,
        "cost_nanos": settlement.cost_nanos,
    }


def _book_debit(batch: Batch, event: Event) -> None:
    debit = batch.debits.get(event.reference)
    if debit is None:
        raise UnbookableEvent(f"There is no {event.reference}.")
    if debit.booked_at is not None:
        return
    debit.taken_credits, debit.booked_at = event.charged, timezone.now()
    batch.booked_debits[debit.pk] = debit
    if event.charged:
        _append(
            batch,
            event.wallet_id,
            kind=debit.kind,
            reference=debit.reference,
            amount=event.charged,
            debit=debit,
        )
    if DebtPayment.find(debit.reference):
        batch.wallets[event.wallet_id].debt_credits -= event.charged
        batch.indebted.add(event.wallet_id)
        return
    shortfall = debit.amount_credits - event.charged
    if debit.kind == Kind.CLAWBACK and shortfall:
        batch.wallets[event.wallet_id].debt_credits += shortfall
        batch.indebted.add(event.wallet_id)


def _append(
    batch: Batch,
    wallet_id: int,
    *,
    kind: str,
    reference: str,
    amount: int,
    debit: Debit | None = None,
) -> Money | None:
    """Append an entry and take its credits from lots. Returns what those had been sold for."""
    wallet = batch.wallets[wallet_id]
    wallet.posted_credits -= amount
    money = _take(batch, wallet_id, amount, debit.lot_id if debit else None)
    batch.entries.append(
        LedgerEntry(
            wallet=wallet,
            kind=kind,
            reference=reference,
            amount_credits=-amount,
            balance_credits=wallet.posted_credits,
            actor_id=debit.actor_id if debit else None,
            reason=debit.reason if debit else "",
            # The receipt has that of usage.
            sold_for=money if debit else None,
        )
    )
    return money


def _take(batch: Batch, wallet_id: int, amount: int, first: int | None) -> Money | None:
    """Take from the wallet's lots, which are in their order of use, but from `first` first.

    Returns what the credits had been sold for.
    """
    money: Money | None = {}
    lots = batch.lots[wallet_id]
    if first is not None:
        lots = sorted(lots, key=lambda lot: lot.pk != first)
    for lot in lots:
        taken = min(lot.remaining_credits, amount)
        if taken:
            money = add_money(money, sold_for(lot, taken))
            lot.remaining_credits -= taken
            batch.changed_lots[lot.pk] = lot
            amount -= taken
        if not amount:
            break
    if amount:
        raise UnbookableEvent(f"Wallet {wallet_id}: the lots are {amount} credits short.")
    batch.lots[wallet_id] = [lot for lot in batch.lots[wallet_id] if lot.remaining_credits]
    return money


def _save(batch: Batch) -> None:
    copy_in(list(batch.new_records.values()))
    UsageRecord.objects.bulk_update(batch.raised_records.values(), RAISED_FIELDS)
    note_booked(batch.new_records.values(), batch.raised_ends)
    copy_in(batch.entries)
    set_values(batch.changed_lots.values(), ["remaining_credits"])
    add_spending(batch.spent)
    add_spending_of_members(batch.spent_by_members)
    Debit.objects.bulk_update(batch.booked_debits.values(), ["taken_credits", "booked_at"])
    set_values(batch.wallets.values(), ["posted_credits", "debt_credits"])
    file_items([_finding(record) for record in batch.parked.values()])
    file_items(add_losses(batch.lost))
    for wallet_id in sorted(batch.indebted):
        push_on_commit(wallet_id)


def _finding(record: UsageRecord) -> InboxItem:
    """Return the figures for a person to check. What the upstream reported is not kept."""
    return InboxItem(
        kind="usage_parked",
        reference=record.request_id,
        summary=f"{record.provider_name} reported impossible usage of {record.model_name}. "
        "The request was charged by our own count, within its hold.",
        detail={
            "wallet": record.wallet_id,
            "provider": record.provider_name,
            "model": record.model_name,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "held_credits": record.held_credits,
            "charged_credits": record.charged_credits,
        },
    )


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000)
