"""What staff and the shop do to a wallet: create, grant, adjust, limit, freeze."""

import uuid
from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from accounts.models import Team, User
from accounts.teams.members import own_team
from billing.exceptions import InvalidAmount, MissingReason
from billing.ledger.credits import lock_wallet, post_credit
from billing.ledger.debits import ask_debit
from billing.ledger.freezes import add_freeze, lift_chosen
from billing.ledger.pushes import push_on_commit
from billing.ledger.references import Adjustment, Grant, Reference
from billing.models import Debit, Freeze, LedgerEntry, Wallet
from common.credits import MAX_CREDITS

STAFF = Freeze.Kind.STAFF


def get_wallet(team: Team) -> Wallet:
    """Return a team's wallet; the first call creates it."""
    wallet, _ = Wallet.objects.get_or_create(team=team)
    return wallet


def wallet_of(user: User) -> Wallet:
    """Return the wallet of a person's own team."""
    return get_wallet(own_team(user))


def grant_credits(
    wallet: Wallet,
    *,
    credits: int,  # the ledger's unit is called so everywhere
    reason: str,
    actor: User | None = None,
    is_promotional: bool = True,
    expires_at: datetime | None = None,
    reference: Reference | None = None,
) -> LedgerEntry:
    """Give credits without a purchase. Safe to repeat with a `reference`.

    Raises InvalidAmount for an amount that can't be posted, MissingReason.
    """
    return post_credit(
        wallet.pk,
        kind=LedgerEntry.Kind.GRANT,
        amount_credits=credits,
        reference=reference or Grant(uuid.uuid4()),
        actor=actor,
        reason=_reason(reason),
        expires_at=expires_at,
        is_promotional=is_promotional,
    )


def adjust_credits(
    wallet: Wallet,
    *,
    amount_credits: int,
    actor: User,
    reason: str,
    reference: Reference | None = None,
) -> None:
    """Correct a balance by hand: up at once, down as far as Redis finds it available.

    Safe to repeat with a `reference`. Raises InvalidAmount for zero or an amount
    beyond the limit, MissingReason.
    """
    reason = _reason(reason)
    reference = reference or Adjustment(uuid.uuid4())
    if amount_credits > 0:
        post_credit(
            wallet.pk,
            kind=LedgerEntry.Kind.ADJUSTMENT,
            amount_credits=amount_credits,
            reference=reference,
            actor=actor,
            reason=reason,
        )
        return
    if not 0 < -amount_credits <= MAX_CREDITS:
        raise InvalidAmount("An adjustment must move something, and no more than a wallet holds.")
    ask_debit(
        Debit(
            wallet=wallet,
            kind=LedgerEntry.Kind.ADJUSTMENT,
            reference=str(reference),
            amount_credits=-amount_credits,
            actor=actor,
            reason=reason,
        )
    )


@transaction.atomic
def freeze_wallet(wallet: Wallet, *, reason: str) -> None:
    """Stop every call of a wallet at once, until a person unfreezes it. Safe to repeat."""
    reason = _reason(reason)
    lock_wallet(wallet.pk)
    if not Freeze.objects.filter(wallet=wallet, kind=STAFF, lifted_at=None).exists():
        add_freeze(wallet.pk, kind=STAFF, reference=f"staff:{uuid.uuid4()}", reason=reason)


@transaction.atomic
def unfreeze_wallet(wallet: Wallet, *, causes: Collection[Freeze]) -> None:
    """Lift these causes, and let the wallet's calls through if no other is left. Safe to repeat."""
    lift_chosen(wallet.pk, [cause.pk for cause in causes])


@transaction.atomic
def limit_wallet(
    wallet: Wallet,
    *,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    concurrent_requests: int | None,
) -> None:
    """Set what all keys of a wallet may do together; None is the site's default. Safe to repeat."""
    locked = lock_wallet(wallet.pk)
    locked.requests_per_minute = requests_per_minute
    locked.tokens_per_minute = tokens_per_minute
    locked.concurrent_requests = concurrent_requests
    locked.save(update_fields=["requests_per_minute", "tokens_per_minute", "concurrent_requests"])
    push_on_commit(locked.pk)


def _reason(text: str) -> str:
    reason = text.strip()[:200]
    if not reason:
        raise MissingReason("A reason is required: it is what the ledger will say.")
    return reason
