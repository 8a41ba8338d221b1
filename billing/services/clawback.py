"""Clawback: what Stripe gave back of a payment takes its share of the credits with it.

Per order, `target = min(credits, floor(credits × refunded / paid))`, and only the difference to
what was already clawed back is taken. So refunds in thirds, in any order, seen twice or late, end
exact. What was spent in the meantime becomes the wallet's debt.
"""

from django.db import transaction

from billing.models import Debit, LedgerEntry, Purchase
from billing.services.debits import ask_debit
from billing.services.inbox import file_item
from billing.services.notices import tell_dispute, tell_refund
from billing.services.wallets import freeze_wallet, get_wallet
from billing.stripe_api import Charge, parse_order_id, read_charge


def claw_back_refunds(charge_id: str) -> None:
    """Read a charge from Stripe and take back the credits of what was refunded. Safe to repeat.

    Of an order that is not fulfilled yet the refund is noted, and its fulfilment takes it into
    account. A charge that is not ours changes nothing.
    """
    if not _apply(read_charge(charge_id), is_sure=False):
        # Either a refund failed, or another process booked a newer answer than ours: look again.
        _apply(read_charge(charge_id), is_sure=True)


@transaction.atomic(durable=True)
def _apply(charge: Charge, *, is_sure: bool) -> bool:
    """Bring the order in line with its charge. False if less is refunded than was before."""
    purchase = _lock_purchase(charge)
    if purchase is None:
        return True
    if charge.refunded_cents >= purchase.refunded_cents:
        claw_back(purchase, refunded_cents=charge.refunded_cents)
        return True
    if is_sure:
        _report_lower_refund(purchase, charge.refunded_cents)
    return False


def claw_back(purchase: Purchase, *, refunded_cents: int) -> None:
    """Take back the credits of what was refunded of a locked order. Safe to repeat."""
    purchase.refunded_cents = max(purchase.refunded_cents, refunded_cents)
    if purchase.status == Purchase.Status.FULFILLED:
        _take_missing(purchase)
    purchase.save(update_fields=["clawed_back_credits", "refunded_cents"])
    if purchase.refunded_cents:
        tell_refund(purchase)


def _take_missing(purchase: Purchase) -> None:
    """Ask for the credits between what was clawed back and what should be."""
    share = purchase.credits * purchase.refunded_cents // purchase.amount_cents
    target = min(purchase.credits, share)
    missing = target - purchase.clawed_back_credits
    if missing <= 0:
        return
    ask_debit(
        Debit(
            wallet=get_wallet(purchase.user),
            kind=LedgerEntry.Kind.CLAWBACK,
            # The target only grows, so each step towards it has a name of its own.
            reference=f"{purchase.public_id}:{target}",
            amount_credits=missing,
            purchase=purchase,
            reason=f"Refund of {purchase.pack_name}"[:200],
        )
    )
    purchase.clawed_back_credits = target


def freeze_disputed(charge_id: str, *, kind: str, reference: str, summary: str) -> bool:
    """Freeze the wallet behind a disputed or suspicious charge and tell a person, once.

    `reference` is Stripe's id of the dispute or warning: when the person has unfrozen the wallet,
    further events about the same one leave it so. False if the charge is none of ours.
    """
    charge = read_charge(charge_id)
    with transaction.atomic(durable=True):
        purchase = _lock_purchase(charge)
        if purchase is None:
            return False
        _, is_new = file_item(
            kind=kind,
            reference=reference,
            summary=f"{summary} The wallet of {purchase.user} is frozen.",
            detail={"order_id": str(purchase.public_id), "charge_id": charge.charge_id},
        )
        if is_new:
            freeze_wallet(get_wallet(purchase.user), reason=summary)
            if kind == "dispute":
                tell_dispute(purchase, reference=reference)
    return True


def _lock_purchase(charge: Charge) -> Purchase | None:
    """Lock the order that a charge paid for; None if it is not one of ours."""
    order_id = parse_order_id(charge.order_id)
    if order_id is None:
        return None
    return Purchase.objects.select_for_update().filter(public_id=order_id).first()


def _report_lower_refund(purchase: Purchase, refunded_cents: int) -> None:
    """Report a refund that failed after its credits were taken back; a person makes it good."""
    file_item(
        kind="refund_failed",
        reference=f"{purchase.public_id}:{refunded_cents}",
        summary=(
            f"Stripe counts {refunded_cents} as refunded, after {purchase.refunded_cents}: "
            "a refund failed. Give the credits back with an adjustment."
        ),
        detail={"order_id": str(purchase.public_id)},
    )
