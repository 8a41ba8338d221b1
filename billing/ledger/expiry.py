"""Let lots expire, except for credits that are held or were spent before the lot expired."""

from django.db import transaction
from django.db.models.functions import Now

from billing.ledger.credits import lock_wallet
from billing.ledger.debits import ask_debit
from billing.ledger.references import ExpiredLot
from billing.models import Debit, LedgerEntry, Lot

BATCH = 500


def expire_lots() -> int:
    """Ask for the debit of every lot that is past its expiry. Returns how many were asked for.

    By PostgreSQL's clock: a worker whose clock is ahead must not take what is still valid. Safe to
    repeat: a lot has one open debit at a time. What was held is asked for again later.
    """
    due = Lot.objects.filter(remaining_credits__gt=0, expires_at__lte=Now()).exclude(
        debits__booked_at=None, debits__isnull=False
    )
    lots = list(due.order_by("expires_at").values_list("pk", "wallet_id")[:BATCH])
    return sum(_expire(lot_id, wallet_id) for lot_id, wallet_id in lots)


@transaction.atomic
def _expire(lot_id: int, wallet_id: int) -> bool:
    wallet = lock_wallet(wallet_id)
    lot = Lot.objects.get(pk=lot_id)
    if not lot.remaining_credits or lot.debits.filter(booked_at=None).exists():
        return False
    ask_debit(
        Debit(
            wallet=wallet,
            kind=LedgerEntry.Kind.EXPIRY,
            reference=str(ExpiredLot(lot.pk, lot.debits.count() + 1)),
            amount_credits=lot.remaining_credits,
            snapshot_posted_credits=wallet.posted_credits,
            snapshot_credited_credits=wallet.credited_credits,
            lot=lot,
            reason="Expired",
        )
    )
    return True
