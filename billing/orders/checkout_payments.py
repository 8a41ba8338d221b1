"""Payments through a Checkout Session. Discounts and tax may change the amount that is paid."""

from django.db.models import Q

from billing.models import Order
from billing.orders.fulfilment import PaymentChannel, Terms, fulfil
from billing.stripe_api import SESSION_ID, Checkout, parse_order_id, read_checkout


def fulfil_checkout(session_id: str) -> Order:
    """Book what became of a Checkout Session and return its order, as `fulfil` says."""
    return fulfil(CHECKOUT, session_id)


class CheckoutChannel(PaymentChannel[Checkout]):
    """A customer who pays on Stripe's page."""

    noun = "payment"
    id_pattern = SESSION_ID

    def read(self, stripe_id: str) -> Checkout:
        return read_checkout(stripe_id)

    def find_known(self, stripe_id: str) -> Order | None:
        return Order.objects.filter(stripe_session_id=stripe_id).first()

    def find_order(self, payment: Checkout) -> Order | None:
        """Return the order that has this session saved, or whose id the session names."""
        is_named = Q(stripe_session_id=payment.session_id)
        for text in (payment.client_reference, payment.order_id):
            order_id = parse_order_id(text)
            is_named |= Q(public_id=order_id) if order_id else Q()
        found = Order.objects.filter(is_named).order_by("pk")
        # Prefer the order that has this session saved to one that the session merely names.
        return max(
            found, key=lambda each: each.stripe_session_id == payment.session_id, default=None
        )

    def is_ours(self, payment: Checkout) -> bool:
        return bool(payment.order_id)

    def is_own(self, order: Order, payment: Checkout) -> bool:
        """Tell whether the order was to be paid through this very session."""
        order_id = str(order.public_id)
        return order.stripe_session_id == payment.session_id or (
            # The process died, or the answer was lost, between creating and saving the session.
            order.stripe_session_id is None
            and payment.client_reference == order_id
            and payment.order_id == order_id
        )

    def terms(self, order: Order, payment: Checkout) -> Terms:
        """Return what must be as agreed: above all the subtotal, which is what was sold.

        Where the session allows it, a discount lowers what is paid and tax raises it.
        """
        is_free = payment.allows_discount and payment.paid_cents == 0
        return {
            "session": (True, self.is_own(order, payment)),
            "mode": ("payment", payment.mode),
            "reference": (str(order.public_id), payment.client_reference),
            "subtotal": (order.amount_cents, payment.subtotal_cents),
            "discount": (True, payment.allows_discount or not payment.discount_cents),
            "tax": (True, payment.adds_tax or not payment.tax_cents),
            "total": (True, _is_sum(payment)),
            "payment status": (
                "no_payment_required" if is_free else "paid",
                payment.payment_status,
            ),
        }


CHECKOUT = CheckoutChannel()


def _is_sum(payment: Checkout) -> bool:
    """Tell whether total and charge follow from the subtotal. The price may include the tax."""
    if payment.subtotal_cents is None or payment.paid_cents is None:
        return False
    price = payment.subtotal_cents - payment.discount_cents
    if payment.paid_cents not in (price, price + payment.tax_cents):
        return False
    charge = payment.charge
    return (
        charge is None
        or charge.currency != payment.currency
        or charge.amount_cents == payment.paid_cents
    )
