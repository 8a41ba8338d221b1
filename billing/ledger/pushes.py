"""Tell Redis what PostgreSQL decided, after the commit; the refresher repairs a lost push."""

from contextlib import suppress

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from billing.exceptions import WalletError, WalletMissing, WalletRecovering
from billing.ledger.loads import load_wallets
from billing.models import Wallet
from billing.wallet.commands import figures
from billing.wallet.commands.command import Command, Reply, parse_ok
from billing.wallet.sync_client import each_apart, get_sync_client

log = structlog.get_logger(__name__)

BATCH = 500
# The answer about a wallet that is not loaded.
MISSING = [b"MISSING"]


def push_on_commit(wallet_id: int) -> None:
    """Count a change that Redis must learn of, and push it once the transaction commits."""
    Wallet.objects.filter(pk=wallet_id).update(version=F("version") + 1)
    transaction.on_commit(lambda: push_if_possible(wallet_id))


def push_if_possible(wallet_id: int) -> bool:
    """Push a wallet now; if Redis is away the refresher or the rebuild does it. Safe to repeat."""
    try:
        push_wallets([wallet_id])
    except WalletRecovering:
        log.info("push_postponed", wallet_id=wallet_id)
        return False
    return True


def push_wallets(wallet_ids: list[int]) -> None:
    """Push the present figures of these wallets. Safe to repeat.

    Raises WalletRecovering, after those whose shard is open.
    """
    wallets = list(Wallet.objects.filter(pk__in=wallet_ids))
    calls = [push_call(wallet) for wallet in wallets]
    replies = get_sync_client().ask_each(calls)
    if unloaded := [w.pk for w, reply in zip(wallets, replies, strict=True) if reply == MISSING]:
        with suppress(WalletRecovering):
            load_wallets(unloaded)
        # Again: another may have loaded a wallet as it was before the change.
        replies = get_sync_client().ask_each(calls)
    each_apart(zip(wallets, replies, strict=True), _note_push)


def _note_push(pushed: tuple[Wallet, Reply | WalletError]) -> None:
    wallet, reply = pushed
    try:
        if isinstance(reply, WalletError):
            raise reply
        parse_ok(reply)
    except WalletMissing as error:
        raise WalletRecovering("The wallets were rebuilt meanwhile.") from error
    except WalletRecovering:
        raise
    except WalletError as error:
        # A defect of one wallet must not keep the others from being pushed.
        log.error("push_refused", wallet_id=wallet.pk, error=str(error))
        return
    Wallet.objects.filter(pk=wallet.pk, pushed_version__lt=wallet.version).update(
        pushed_version=wallet.version
    )


def due_wallets() -> QuerySet[Wallet]:
    """Return the wallets whose last change was not pushed to Redis."""
    return Wallet.objects.filter(pushed_version__lt=F("version"))


def push_due(*, among: QuerySet[Wallet] | None = None) -> int:
    """Push wallets whose last push was lost. Returns how many. Raises WalletRecovering."""
    due = due_wallets() if among is None else due_wallets().filter(pk__in=among.values("pk"))
    # In random order, so that wallets that can't be pushed don't keep the others waiting.
    wallet_ids = list(due.order_by("?").values_list("pk", flat=True)[:BATCH])
    if wallet_ids:
        push_wallets(wallet_ids)
    return len(wallet_ids)


def push_call(wallet: Wallet) -> Command:
    """Return the push of a wallet's figures as they were read."""
    return figures.push(
        wallet.pk,
        posted=wallet.posted_credits,
        credited=wallet.credited_credits,
        debt=wallet.debt_credits,
        state=wallet.state,
        version=wallet.version,
    )
