"""Post credits: one of the two writers of entries, lots and balances. The other is `bookings.py`.

Credits are decided here, debits by Redis. Everything here runs inside the caller's transaction with
the wallet's row locked, so that a wallet's entries, lots and posted balance change together or not
at all. An entry is identified by its kind and reference: posting the same cause again finds the
first entry and changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from billing.exceptions import InvalidAmount
from billing.ledger.lot_money import GIFT, Money, Paid, sold_for
from billing.ledger.pushes import push_on_commit
from billing.ledger.references import DebtPaidBy, DebtPayment, LapsedLot, Reference
from billing.ledger.thresholds import arm_threshold
from billing.models import Debit, LedgerEntry, Lot, Wallet
from common.credits import MAX_CREDITS

Kind = LedgerEntry.Kind


@dataclass(frozen=True)
class Cause:
    """Why an entry is posted: kind and reference identify it, the rest explains it."""

    kind: str
    reference: Reference
    actor: User | None = None
    reason: str = ""


@transaction.atomic
def post_credit(
    wallet_id: int,
    *,
    kind: str,
    amount_credits: int,
    reference: Reference,
    actor: User | None = None,
    reason: str = "",
    expires_at: datetime | None = None,
    is_promotional: bool = False,
    lapsed_credits: int = 0,
    paid: Paid = GIFT,
) -> LedgerEntry:
    """Add credits to a wallet, pay its debt from them, and push it to Redis on commit.

    `lapsed_credits` of them expire at once, before anybody can spend them. They are a gift unless
    something was `paid` for them. Returns the entry; the
    first one if this reference was posted before. Raises InvalidAmount.
    """
    if not 0 < amount_credits <= MAX_CREDITS:
        raise InvalidAmount(f"A credit must be between 1 and {MAX_CREDITS:,} credits.")
    wallet = lock_wallet(wallet_id)
    cause = Cause(kind, reference, actor, reason)
    posted = LedgerEntry.objects.filter(kind=kind, reference=str(reference)).first()
    if posted is not None:
        return posted
    if wallet.posted_credits + amount_credits > MAX_CREDITS:
        raise InvalidAmount(f"A wallet holds at most {MAX_CREDITS:,} credits.")
    entry = append_entry(wallet, cause, amount_credits)
    lot = Lot.objects.create(
        wallet=wallet,
        entry=entry,
        is_promotional=is_promotional,
        granted_credits=amount_credits,
        remaining_credits=amount_credits,
        expires_at=expires_at,
        currency=paid.currency,
        paid_micros=paid.micros,
    )
    if lapsed_credits:
        _lapse(wallet, lot, lapsed_credits)
    on_debt = _pay_debt(wallet, lot, cause)
    wallet.credited_credits += amount_credits - lapsed_credits - on_debt
    wallet.save(update_fields=["posted_credits", "credited_credits", "debt_credits"])
    arm_threshold(wallet, entry)
    push_on_commit(wallet.pk)
    return entry


def lock_wallet(wallet_id: int) -> Wallet:
    """Return the wallet with its row locked until the transaction ends."""
    # no_key: rows that only refer to the wallet can still be inserted by others.
    return Wallet.objects.select_for_update(of=("self",), no_key=True).get(pk=wallet_id)


def append_entry(
    wallet: Wallet, cause: Cause, amount_credits: int, *, sold_for: Money | None = None
) -> LedgerEntry:
    """Append one entry to a locked wallet's ledger. The caller saves the wallet."""
    wallet.posted_credits += amount_credits
    return LedgerEntry.objects.create(
        wallet=wallet,
        kind=cause.kind,
        reference=str(cause.reference),
        actor=cause.actor,
        reason=cause.reason,
        amount_credits=amount_credits,
        balance_credits=wallet.posted_credits,
        sold_for=sold_for,
    )


# `order_of_use` for a query.
ORDER_OF_USE = ("-is_promotional", F("expires_at").asc(nulls_last=True), "pk")


def order_of_use(lot: Lot) -> tuple[bool, float, int]:
    """Return the sort key of lots: promotional first, then first to expire, then oldest."""
    expiry = lot.expires_at.timestamp() if lot.expires_at else float("inf")
    return (not lot.is_promotional, expiry, lot.pk)


def open_payments(wallet_id: int | OuterRef) -> QuerySet[Debit]:
    """Return the debits that will pay a wallet's debt and are not booked yet."""
    return Debit.objects.filter(
        wallet=wallet_id, booked_at=None, reference__startswith=DebtPayment.prefix()
    )


def _lapse(wallet: Wallet, lot: Lot, credits: int) -> None:
    """Let a part of a new lot expire. Redis has not heard of it, so PostgreSQL decides."""
    cause = Cause(Kind.EXPIRY, LapsedLot(lot.pk), reason="Had expired before it was taken back")
    append_entry(wallet, cause, -credits, sold_for=sold_for(lot, credits))
    Debit.objects.create(
        wallet=wallet,
        kind=cause.kind,
        reference=str(cause.reference),
        amount_credits=credits,
        taken_credits=credits,
        booked_at=timezone.now(),
        lot=lot,
        reason=cause.reason,
    )
    lot.remaining_credits -= credits
    lot.save(update_fields=["remaining_credits"])


def _pay_debt(wallet: Wallet, lot: Lot, cause: Cause) -> int:
    """Pay what an earlier refund or dispute could not take back. Returns the credits paid."""
    if not wallet.debt_credits:
        return 0
    under_way: int = open_payments(wallet.pk).aggregate(sum=Sum("amount_credits", default=0))["sum"]
    paid = min(wallet.debt_credits - under_way, lot.remaining_credits)
    if paid <= 0:
        return 0
    wallet.debt_credits -= paid
    append_entry(
        wallet,
        Cause(Kind.CLAWBACK, DebtPaidBy(cause.reference), cause.actor, "Debt paid"),
        -paid,
        sold_for=sold_for(lot, paid),
    )
    Lot.objects.filter(pk=lot.pk).update(remaining_credits=F("remaining_credits") - paid)
    return paid
