"""What a customer gets back for the unused part of an order."""

from dataclasses import dataclass

from billing.ledger.balances import read_balance
from billing.ledger.credits import order_of_use
from billing.ledger.wallets import get_wallet
from billing.models import Order
from billing.orders.clawback import expired_credits, find_lots, share_of
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
    if order.status != Order.Status.FULFILLED:
        return None
    unused = _unused_of(order)
    worth = order.charged_cents * unused // order.credits
    rest = order.charged_cents - order.returned_cents
    amount = rest if worth >= rest else worth - worth % smallest_step(order.currency)
    if amount <= 0:
        return None
    credits = share_of(order, order.returned_cents + amount) - order.taken_back_credits
    return Offer(amount, max(credits, 0))


def owed_after(order: Order, amount_cents: int) -> int:
    """Return how many credits its customer would owe after a refund of so much, as things stand."""
    wallet = get_wallet(order.team)
    taken = share_of(order, order.returned_cents + amount_cents) - order.taken_back_credits
    expired = min(max(expired_credits(order), 0), max(taken - _unused_of(order), 0))
    available = read_balance(wallet).available_credits
    return wallet.debt_credits + max(taken - expired - available, 0)


def _unused_of(order: Order) -> int:
    """Return what is left of an order's lots once all that is charged or held by now is booked.

    The ledger lags behind by a second: credits that were just spent are still in their lot. They
    are taken from the wallet's lots in the order of use, because a balance that other lots fill up
    would not show what is missing from these.
    """
    # The lots are read first: usage booked in between then lowers the balance and counts as held.
    wallet = get_wallet(order.team)
    lots = sorted(wallet.lots.filter(remaining_credits__gt=0), key=order_of_use)
    own = set(find_lots(order).values_list("pk", flat=True))
    total = sum(each.remaining_credits for each in lots)
    under_way = max(total - read_balance(wallet).available_credits, 0)
    unused = 0
    for each in lots:
        left = max(each.remaining_credits - under_way, 0)
        under_way -= each.remaining_credits - left
        if each.pk in own:
            unused += left
    return unused
