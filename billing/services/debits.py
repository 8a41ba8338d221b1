"""Debits that are not usage: clawbacks, expiries, adjustments.

PostgreSQL writes down the intention, Redis decides how much of it is available, and the drain
books that. What a clawback could not take becomes debt.
"""

import structlog
from django.db import transaction

from billing.exceptions import WalletMissing, WalletRecovering
from billing.models import Debit
from billing.services.pushes import push_wallets
from billing.wallet import calls
from billing.wallet.calls import Call
from billing.wallet.sync_client import get_sync_client

log = structlog.get_logger(__name__)

BATCH = 500


@transaction.atomic
def ask_debit(debit: Debit) -> Debit:
    """Record the intention and let Redis decide it after the commit. Safe to repeat.

    A second intention of the same kind and reference finds the first one and changes nothing.
    """
    found = Debit.objects.filter(kind=debit.kind, reference=debit.reference).first()
    if found is not None:
        return found
    debit.save(force_insert=True)
    transaction.on_commit(lambda: decide_if_possible(debit))
    return debit


def decide_if_possible(debit: Debit) -> bool:
    """Let Redis decide a debit now; if it is away, the sweep does it. Safe to repeat."""
    try:
        decide(debit)
    except WalletRecovering:
        log.info("debit_postponed", reference=debit.reference)
        return False
    return True


def decide(debit: Debit) -> int:
    """Take what is available. Returns the credits taken. Safe to repeat until it is booked."""
    client = get_sync_client()
    try:
        return calls.parse_ok(client.ask(_call(debit)))[0]
    except WalletMissing:
        push_wallets([debit.wallet_id])
        return calls.parse_ok(client.ask(_call(debit)))[0]


def decide_open() -> int:
    """Let Redis decide every debit that is not booked. Returns how many. Raises WalletRecovering.

    One that is decided but not booked yet is asked again and answers the same.
    """
    many = list(Debit.objects.filter(booked_at=None).order_by("pk")[:BATCH])
    for debit in many:
        decide(debit)
    return len(many)


def event_reference(debit: Debit) -> str:
    """Return the name of a debit's register and event in Redis."""
    return f"debit:{debit.pk}"


def _call(debit: Debit) -> Call:
    snapshot = None
    if debit.snapshot_posted_credits is not None and debit.snapshot_credited_credits is not None:
        snapshot = (debit.snapshot_posted_credits, debit.snapshot_credited_credits)
    return calls.debit(
        debit.wallet_id,
        event_reference(debit),
        amount_credits=debit.amount_credits,
        snapshot=snapshot,
    )
