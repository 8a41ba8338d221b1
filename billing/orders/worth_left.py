"""What unspent credits cost their team, by what was paid for each."""

from collections import Counter

from billing.ledger.references import OrderCredit
from billing.models import LedgerEntry, Order, Wallet

# Of one wallet; who has more is told of the first ones that are used.
MOST_LOTS = 1_000


def worth_left(wallet: Wallet) -> list[tuple[int, str]]:
    """Return the money that was paid for the unspent credits, by currency, the most first.

    In the smallest unit, rounded down. Gifts cost nothing, and count for nothing.
    """
    bought = wallet.lots.filter(
        remaining_credits__gt=0, entry__kind=LedgerEntry.Kind.PURCHASE
    ).values_list("entry__reference", "remaining_credits")[:MOST_LOTS]
    found = ((OrderCredit.find(reference), credits) for reference, credits in bought)
    left = {credit.order_id: credits for credit, credits in found if credit}
    worth: Counter[str] = Counter()
    for order in Order.objects.filter(public_id__in=left):
        worth[order.currency] += order.charged_cents * left[order.public_id] // order.credits
    return [(amount, currency) for currency, amount in worth.most_common() if amount]
