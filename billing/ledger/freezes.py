"""Freezes: a wallet refuses calls while it has an open freeze; each is lifted on its own."""

from collections.abc import Collection

from django.db.models import QuerySet
from django.utils import timezone

from billing.ledger.credits import lock_wallet
from billing.ledger.pushes import push_on_commit
from billing.models import Freeze, Wallet


def add_freeze(wallet_id: int, *, kind: str, reference: str, reason: str) -> bool:
    """Freeze a wallet for one cause, inside the caller's transaction. Safe to repeat.

    Returns False if this cause is known, even if it was lifted: a person's decision stands.
    """
    wallet = lock_wallet(wallet_id)
    _, is_new = Freeze.objects.get_or_create(
        kind=kind, reference=reference, defaults={"wallet": wallet, "reason": reason[:200]}
    )
    if is_new:
        _show(wallet)
    return is_new


def renew_freeze(wallet_id: int, *, kind: str, reference: str) -> None:
    """Freeze again for a cause that was lifted and recurs, inside the caller's transaction."""
    wallet = lock_wallet(wallet_id)
    Freeze.objects.filter(wallet=wallet, kind=kind, reference=reference).update(lifted_at=None)
    _show(wallet)


def lift_freeze(wallet_id: int, *, kind: str, reference: str) -> None:
    """Lift one cause, inside the caller's transaction; others keep the wallet frozen."""
    wallet = lock_wallet(wallet_id)
    _lift(wallet, kind=kind, reference=reference)


def lift_chosen(wallet_id: int, freeze_ids: Collection[int]) -> None:
    """Lift these causes, inside the caller's transaction: a person has looked at each."""
    _lift(lock_wallet(wallet_id), pk__in=freeze_ids)


def open_freezes(wallet: Wallet) -> QuerySet[Freeze]:
    """Return what keeps a wallet frozen, the oldest first."""
    return wallet.freezes.filter(lifted_at=None).order_by("pk")


def _lift(wallet: Wallet, **cause: object) -> None:
    Freeze.objects.filter(wallet=wallet, lifted_at=None, **cause).update(lifted_at=timezone.now())
    _show(wallet)


def _show(wallet: Wallet) -> None:
    """Set the locked wallet's state from its open freezes, and push a change to Redis."""
    reasons = list(
        Freeze.objects.filter(wallet=wallet, lifted_at=None)
        .order_by("pk")
        .values_list("reason", flat=True)
    )
    state = Wallet.State.FROZEN if reasons else Wallet.State.ACTIVE
    text = "; ".join(reasons)[:200]
    if (wallet.state, wallet.frozen_reason) == (state, text):
        return
    wallet.state, wallet.frozen_reason = state, text
    wallet.save(update_fields=["state", "frozen_reason"])
    push_on_commit(wallet.pk)
