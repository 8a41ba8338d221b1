"""What a team that ends leaves behind."""

from dataclasses import dataclass

from accounts.models import Team
from billing.ledger.balances import read_balance
from billing.ledger.wallets import get_wallet
from billing.models import Order
from billing.orders.clawback import find_orders_left
from billing.orders.refund_offers import Offer
from billing.orders.refunds import offer_to_customer


@dataclass(frozen=True)
class Unspent:
    """Credits, and the money that is given back for some of them."""

    credits: int
    offers: tuple[tuple[Order, Offer], ...]

    @property
    def lost_credits(self) -> int:
        return max(self.credits - sum(offer.credits for _, offer in self.offers), 0)


def read_unspent(team: Team) -> Unspent:
    """Return what is unspent now, and what of it is refunded when the team ends."""
    wallet = get_wallet(team)
    left = find_orders_left(wallet).select_related("team").order_by("pk")
    offers = ((order, offer_to_customer(order)) for order in left)
    return Unspent(
        credits=read_balance(wallet).available_credits,
        offers=tuple((order, offer) for order, offer in offers if offer),
    )
