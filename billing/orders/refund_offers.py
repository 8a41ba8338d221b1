"""What a customer gets back for the unused part of an order."""

from dataclasses import dataclass

from billing.ledger.balances import read_balance
from billing.ledger.credits import order_of_use
from billing.models import Lot, Order
from billing.orders.clawback import find_lot, share_of
from common.currencies import smallest_step


@dataclass(frozen=True, slots=True)
class Offer:
    """The money that a customer gets back, and the credits that are taken back for it."""

    amount_cents: int
    credits: int


def offer_unused(order: Order) -> Offer | None:
    """Return the refund for the unused part of an order; None if there is nothing to refund.

    Rounded down to the smallest step that Stripe takes in its currency.
    """
    lot = find_lot(order)
    if order.status != Order.Status.FULFILLED or lot is None:
        return None
    unused = _unused_of(lot)
    worth = order.charged_cents * unused // order.credits
    rest = order.charged_cents - order.returned_cents
    amount = rest if worth >= rest else worth - worth % smallest_step(order.currency)
    if amount <= 0:
        return None
    credits = share_of(order, order.returned_cents + amount) - order.taken_back_credits
    return Offer(amount, max(credits, 0))


def _unused_of(lot: Lot) -> int:
    """Return what is left of a lot once all that is charged or held by now is booked.

    The ledger lags behind by a second: credits that were just spent are still in their lot. They
    are taken from the wallet's lots in the order of use, because a balance that other lots fill up
    would not show what is missing from this one.
    """
    # The lots are read first: usage booked in between then lowers the balance and counts as held.
    lots = sorted(lot.wallet.lots.filter(remaining_credits__gt=0), key=order_of_use)
    total = sum(each.remaining_credits for each in lots)
    under_way = max(total - read_balance(lot.wallet).available_credits, 0)
    for each in lots:
        left = max(each.remaining_credits - under_way, 0)
        if each.pk == lot.pk:
            return left
        under_way -= each.remaining_credits - left
    return 0
