"""Pay a wallet's debt from its balance.

A refund or dispute can't take what requests hold at that moment, so it leaves a debt. What those
requests don't use becomes available again, while the debt still blocks every new request.
"""

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from billing.ledger.balances import read_balance
from billing.ledger.credits import lock_wallet, open_payments
from billing.ledger.debits import ask_debit
from billing.ledger.references import DebtPayment
from billing.models import Debit, LedgerEntry, Wallet

BATCH = 500


def pay_debts() -> int:
    """Ask for the debit of what each indebted wallet can pay. Returns how many were asked for.

    Safe to repeat: a wallet has one open payment at a time. While Redis is away nothing is paid.
    """
    return sum(_pay(wallet) for wallet in _owing()[:BATCH])


def _owing() -> QuerySet[Wallet]:
    paying = open_payments(OuterRef("pk"))
    return Wallet.objects.filter(~Exists(paying), debt_credits__gt=0).order_by("pk")


def _pay(owing: Wallet) -> bool:
    balance = read_balance(owing)
    if not balance.is_live or not balance.available_credits:
        return False
    with transaction.atomic():
        wallet = lock_wallet(owing.pk)
        amount = min(wallet.debt_credits, balance.available_credits)
        if not amount or open_payments(wallet.pk).exists():
            return False
        ask_debit(
            Debit(
                wallet=wallet,
                kind=LedgerEntry.Kind.CLAWBACK,
                reference=str(DebtPayment(wallet.pk, wallet.debits.count() + 1)),
                amount_credits=amount,
                reason="Debt paid",
            )
        )
    return True
