"""Revenue: what an order brought in, and what of it went back, each as an entry of its own day."""

from django.db.models import Sum

from billing.ledger.lot_money import Paid
from billing.models import Order, Revenue


def book_sale(order: Order, paid: Paid) -> None:
    """Book what a locked order was sold for. Nothing, if that is not known or zero."""
    if paid.micros:
        Revenue.objects.create(
            order=order, kind=Revenue.Kind.SALE, currency=paid.currency, micros=paid.micros
        )


def book_returns(order: Order) -> None:
    """Book what of a locked order's payment went back, or came again, since the last entry.

    Nothing, if its sale has no entry. Safe to repeat.
    """
    booked: int | None = order.revenue.aggregate(total=Sum("micros"))["total"]
    if booked is None:
        return
    change = order.net_micros - order.returned_micros - booked
    if change:
        Revenue.objects.create(
            order=order,
            kind=Revenue.Kind.RETURN if change < 0 else Revenue.Kind.REVERSAL,
            currency=order.currency,
            micros=change,
        )
