"""Charges: what was paid, and how much of it went back through refunds and disputes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import stripe

from billing.models import Dispute
from billing.stripe_api.client import ORDER_KEY, REFUND_KEY, call_stripe, read_metadata

# An expanded charge has at most ten refunds; an order rarely has more.
PAGE = 100


@dataclass(frozen=True, slots=True)
class RefundState:
    """The present state of a refund. `our_id` is empty if staff made it in Stripe's dashboard."""

    refund_id: str
    our_id: str
    status: str
    amount_cents: int
    failure: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DisputeState:
    """The present state of a dispute. `respond_until` is when Stripe needs the evidence."""

    dispute_id: str
    status: str
    amount_cents: int
    # That of the bank, which may be another one than the charge's.
    currency: str
    reason: str
    respond_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Charge:
    """The present state of a charge. Absent texts are empty."""

    charge_id: str
    order_id: str
    payment_intent_id: str
    is_paid: bool
    amount_cents: int
    currency: str
    receipt_url: str
    created_at: datetime
    refunded_cents: int
    refunds: tuple[RefundState, ...]
    disputes: tuple[DisputeState, ...]

    @property
    def disputed_cents(self) -> int:
        """Return what disputes have taken, at least for now, in the charge's currency.

        A sum in another currency can't be compared with the charge, so it counts as all of it.
        """
        return sum(
            d.amount_cents if d.currency == self.currency else self.amount_cents
            for d in self.disputes
            if d.status in Dispute.COUNTED
        )

    @property
    def changed_at(self) -> datetime:
        """Return when it was last paid, refunded or disputed."""
        refunded = [refund.created_at for refund in self.refunds]
        disputed = [dispute.created_at for dispute in self.disputes]
        return max([self.created_at, *refunded, *disputed])


def read_charge(charge_id: str) -> Charge:
    """Read a charge with its refunds and disputes. Raises PaymentObjectMissing."""
    with call_stripe() as client:
        charge = client.v1.charges.retrieve(charge_id, {"expand": ["refunds"]})
        return describe_charge(client, charge)


def read_warned_charge(warning_id: str) -> Charge:
    """Read the charge that an early fraud warning is about. Raises PaymentObjectMissing."""
    with call_stripe() as client:
        warning = client.v1.radar.early_fraud_warnings.retrieve(warning_id)
        return read_charge(read_id(warning.charge))


def describe_charge(client: stripe.StripeClient, charge: stripe.Charge) -> Charge:
    """Describe a charge that was read with its refunds expanded. Reads its disputes, if any."""
    return Charge(
        charge_id=charge.id,
        order_id=read_metadata(charge.metadata, ORDER_KEY),
        payment_intent_id=read_id(charge.payment_intent),
        is_paid=charge.paid and charge.status == "succeeded",
        amount_cents=charge.amount,
        currency=charge.currency,
        receipt_url=charge.receipt_url or "",
        created_at=datetime.fromtimestamp(charge.created, UTC),
        refunded_cents=charge.amount_refunded,
        refunds=tuple(_refund(refund) for refund in _refunds(client, charge)),
        disputes=tuple(_disputes(client, charge)),
    )


def read_id(expandable: object) -> str:
    """Return the id of an object that Stripe may or may not have expanded."""
    if expandable is None or isinstance(expandable, str):
        return expandable or ""
    return str(getattr(expandable, "id", ""))


def describe_dispute(dispute: stripe.Dispute) -> DisputeState:
    details = dispute.evidence_details
    due = details.due_by if details else None
    return DisputeState(
        dispute_id=dispute.id,
        status=dispute.status,
        amount_cents=dispute.amount,
        currency=dispute.currency,
        reason=dispute.reason,
        # Stripe gives 0 if the bank accepts no answer.
        respond_until=datetime.fromtimestamp(due, UTC) if due else None,
        created_at=datetime.fromtimestamp(dispute.created, UTC),
    )


def _refunds(client: stripe.StripeClient, charge: stripe.Charge) -> Iterable[stripe.Refund]:
    if not charge.amount_refunded and not charge.refunds:
        return ()
    if charge.refunds is not None and not charge.refunds.has_more:
        return charge.refunds.data
    return client.v1.refunds.list({"charge": charge.id, "limit": PAGE}).auto_paging_iter()


def _refund(refund: stripe.Refund) -> RefundState:
    return RefundState(
        refund_id=refund.id,
        our_id=read_metadata(refund.metadata, REFUND_KEY),
        status=refund.status or "",
        amount_cents=refund.amount,
        failure=getattr(refund, "failure_reason", None) or "",
        created_at=datetime.fromtimestamp(refund.created, UTC),
    )


def _disputes(client: stripe.StripeClient, charge: stripe.Charge) -> Iterable[DisputeState]:
    # `disputed` stays true after the dispute has ended.
    if not charge.disputed:
        return ()
    found = client.v1.disputes.list({"charge": charge.id, "limit": PAGE})
    return [describe_dispute(dispute) for dispute in found.auto_paging_iter()]
