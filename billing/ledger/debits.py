"""Debits that are not usage: clawbacks, expiries, adjustments.

PostgreSQL records what is to be taken, Redis decides how much of it is available, and the drain
books that. What a clawback could not take becomes debt.
"""

from collections import defaultdict

import structlog
from django.db import transaction

from billing.exceptions import WalletError, WalletMissing, WalletRecovering
from billing.ledger.pushes import push_due, push_wallets
from billing.ledger.references import DebitRow
from billing.models import Debit, Wallet
from billing.wallet import keys
from billing.wallet.commands import figures
from billing.wallet.commands.command import Command, parse_ok
from billing.wallet.node import Node
from billing.wallet.rebuild_barrier import no_rebuild_meanwhile
from billing.wallet.sync_client import SyncWalletClient, each_apart, get_sync_client

log = structlog.get_logger(__name__)

BATCH = 500


@transaction.atomic
def ask_debit(debit: Debit) -> Debit:
    """Record a debit and let Redis decide it after the commit. Safe to repeat.

    A second debit of the same kind and reference finds the first one and changes nothing.
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
        decide([debit.pk])
    except WalletRecovering:
        log.info("debit_postponed", reference=debit.reference)
        return False
    return True


def decide_open(*, most: int = BATCH) -> int:
    """Let Redis decide every debit that is not booked. Returns how many.

    Raises WalletRecovering, after the debits whose server can be asked. A debit that is decided
    but not booked yet is sent again, and Redis answers the same.
    """
    # In random order, so that debits that are refused don't keep the others waiting.
    due = Debit.objects.filter(booked_at=None).order_by("?")
    by_node: dict[Node, list[int]] = defaultdict(list)
    for debit_id, wallet_id in due.values_list("pk", "wallet")[:most]:
        by_node[get_sync_client().node_of(keys.shard_of(wallet_id))].append(debit_id)
    each_apart(by_node.values(), decide)
    return sum(map(len, by_node.values()))


def decide(debit_ids: list[int]) -> None:
    """Let Redis take what is available of each of these. Safe to repeat. Raises WalletRecovering.

    Credits whose push was lost are pushed first: otherwise Redis would find too little, and what
    a clawback can't take becomes debt.
    No rebuild comes between reading that a debit is not booked and asking Redis: after a rebuild
    Redis would no longer know it and would take it a second time.
    """
    client = get_sync_client()
    push_due(among=Wallet.objects.filter(debits__in=debit_ids, debits__booked_at=None))
    with no_rebuild_meanwhile():
        debits = list(Debit.objects.filter(pk__in=debit_ids, booked_at=None).order_by("pk"))
        missing = [debit for debit in debits if not _ask(client, debit)]
    if missing:
        push_wallets(sorted({debit.wallet_id for debit in missing}))
        with no_rebuild_meanwhile():
            for debit in Debit.objects.filter(pk__in=[d.pk for d in missing], booked_at=None):
                _ask(client, debit)


def _ask(client: SyncWalletClient, debit: Debit) -> bool:
    """Let Redis decide one debit. Returns False if its wallet is not loaded."""
    try:
        parse_ok(client.ask(_call(debit)))
    except WalletMissing:
        return False
    except WalletRecovering:
        raise
    except WalletError as error:
        # A defect of one debit must not keep the others waiting.
        log.error("debit_refused", reference=debit.reference, error=str(error))
    return True


def _call(debit: Debit) -> Command:
    snapshot = None
    if debit.snapshot_posted_credits is not None and debit.snapshot_credited_credits is not None:
        snapshot = (debit.snapshot_posted_credits, debit.snapshot_credited_credits)
    return figures.debit(
        debit.wallet_id,
        str(DebitRow(debit.pk)),
        amount_credits=debit.amount_credits,
        snapshot=snapshot,
    )
