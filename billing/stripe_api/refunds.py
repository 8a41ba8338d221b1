"""Refunds that we ask of Stripe."""

from stripe.params import RefundCreateParams

from billing.stripe_api.client import ORDER_KEY, REFUND_KEY, call_stripe


def create_refund(
    payment_intent_id: str, *, amount_cents: int, reason: str, order_id: str, refund_id: str
) -> str:
    """Ask Stripe to return part of a payment, and return the refund's id there.

    Safe to repeat for a day. After that Stripe has forgotten the key: look for `refund_id` in the
    metadata of the charge's refunds before asking again.
    """
    params: RefundCreateParams = {
        "payment_intent": payment_intent_id,
        "amount": amount_cents,
        "metadata": {ORDER_KEY: order_id, REFUND_KEY: refund_id},
    }
    if reason in ("duplicate", "fraudulent", "requested_by_customer"):
        params["reason"] = reason
    with call_stripe() as client:
        refund = client.v1.refunds.create(params, {"idempotency_key": f"refund-{refund_id}"})
        return refund.id
