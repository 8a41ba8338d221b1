"""What the unused part of an order is worth."""

from dataclasses import dataclass

from billing.ledger.balances import read_balance
from billing.ledger.credits import order_of_use
from billing.models import Lot, Order
from billing.orders.clawback import find_lot, share_of
from common.currencies import smallest_step


@dataclass(frozen=True, slots=True)
class Offer:
    """What a customer would get for the unused part of an order, and give for it."""

    amount_cents: int
    credits: int


def offer_unused(order: Order) -> Offer | None:
    """Return what the unused part of an order is worth; None if nothing.

    Rounded down to cents, or to what its currency has of them.
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

    The ledger lags behind by a second: what was just spent of this lot is still in it, and a
    balance that other lots fill up would not show that.
    """
    # The lots first: what is booked in between is then missing from neither figure.
    lots = sorted(lot.wallet.lots.filter(remaining_credits__gt=0), key=order_of_use)
    total = sum(each.remaining_credits for each in lots)
    under_way = max(total - read_balance(lot.wallet).available_credits, 0)
    for each in lots:
        left = max(each.remaining_credits - under_way, 0)
        if each.pk == lot.pk:
            return left
        under_way -= each.remaining_credits - left
    return 0
