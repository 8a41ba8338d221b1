"""Disputes and fraud warnings: freeze the wallet, then follow the dispute's state at Stripe.

An open dispute freezes the wallet of its order. When we win it, the freeze is lifted; when we lose
it, the freeze stays until a person decides. `clawback.py` takes the credits back.
"""

from django.db import transaction

from billing.ledger.freezes import add_freeze, lift_freeze, renew_freeze
from billing.ledger.inbox import file_item
from billing.ledger.wallets import get_wallet
from billing.models import Dispute, Freeze, Order
from billing.orders.notices import notify_dispute
from billing.stripe_api import DisputeState, parse_order_id, read_warned_charge


def record_disputes(order: Order, states: tuple[DisputeState, ...]) -> None:
    """Book the disputes of a locked order's charge as Stripe has them. Safe to repeat."""
    known = {dispute.stripe_dispute_id: dispute for dispute in order.disputes.all()}
    for state in states:
        dispute = known.get(state.dispute_id) or Dispute(
            order=order, stripe_dispute_id=state.dispute_id, created_at=state.created_at
        )
        seen = (dispute.status, dispute.amount_cents, dispute.respond_until)
        # A state is saved in the same transaction as its effects, so it takes effect once.
        if seen != (state.status, state.amount_cents, state.respond_until):
            is_renewed = dispute.pk is not None and dispute.is_won
            dispute.status, dispute.amount_cents = state.status, state.amount_cents
            dispute.reason, dispute.respond_until = state.reason[:60], state.respond_until
            dispute.currency = state.currency
            dispute.save()
            _follow(dispute, is_renewed=is_renewed)
            if state.currency != order.currency:
                _report_currency(dispute)


def heed_fraud_warning(warning_id: str) -> None:
    """Freeze the wallet behind a charge that the bank reported as fraud, and tell a person.

    What the warning is about is read from Stripe. Safe to repeat: after a person has lifted the
    freeze, the same warning does not renew it. Raises PaymentProviderError.
    """
    charge = read_warned_charge(warning_id)
    order_id = parse_order_id(charge.order_id)
    with transaction.atomic(durable=True):
        order = order_id and (Order.objects.select_for_update().filter(public_id=order_id).first())
        if order:
            _freeze(order, kind=Freeze.Kind.FRAUD_WARNING, reference=warning_id)


def _follow(dispute: Dispute, *, is_renewed: bool) -> None:
    """Freeze the wallet for an open or lost dispute; lift that freeze if the dispute was won.

    A dispute that was won may open again, by arbitration or as an inquiry that comes back.
    """
    kind, reference = Freeze.Kind.DISPUTE, dispute.stripe_dispute_id
    wallet = get_wallet(dispute.order.team)
    if dispute.is_won:
        state = "won"
        lift_freeze(wallet.pk, kind=kind, reference=reference)
    else:
        state = "opened" if dispute.is_open else "lost"
        if is_renewed:
            # The freeze was lifted because the dispute was over; no person decided it.
            renew_freeze(wallet.pk, kind=kind, reference=reference)
        _freeze(dispute.order, kind=kind, reference=reference)
    cause = f"{reference}:renewed" if is_renewed else reference
    notify_dispute(dispute.order, reference=cause, state=state)
    if is_renewed and dispute.is_open:
        file_item(
            kind=kind,
            reference=cause,
            summary=f"The dispute {reference} of {dispute.order.team} goes on after it was won.",
            detail={"order_id": str(dispute.order.public_id), "wallet": wallet.pk},
        )
    if dispute.status == "lost":
        wallet.refresh_from_db(fields=["state"])
        file_item(
            kind="dispute_lost",
            reference=dispute.stripe_dispute_id,
            summary=(
                f"A dispute of {dispute.order.team} was lost. The credits stay taken back, and "
                f"the wallet is {wallet.state} until somebody decides."
            ),
            detail={"order_id": str(dispute.order.public_id), "wallet": wallet.pk},
        )


def _report_currency(dispute: Dispute) -> None:
    """Report a sum that can't be compared with the payment, and so counts as all of it."""
    amount = f"{dispute.amount_cents} {dispute.currency.upper()}, in its smallest unit"
    file_item(
        kind="dispute_in_other_currency",
        reference=dispute.stripe_dispute_id,
        summary=(
            f"A dispute of {dispute.order.team} is told as {amount}, and the payment was in "
            f"{dispute.order.currency.upper()}: it counts as all of it. Adjust the balance if it "
            "was less."
        ),
        detail={"order_id": str(dispute.order.public_id)},
    )


def _freeze(order: Order, *, kind: str, reference: str) -> None:
    word = "A payment is disputed" if kind == Freeze.Kind.DISPUTE else "Stripe warns of fraud"
    wallet = get_wallet(order.team)
    if add_freeze(wallet.pk, kind=kind, reference=reference, reason=f"{word} ({reference})."):
        file_item(
            kind=kind,
            reference=reference,
            summary=f"{word} ({reference}). The wallet of {order.team} is frozen.",
            detail={"order_id": str(order.public_id), "wallet": wallet.pk},
        )
