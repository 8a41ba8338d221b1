"""The state of an order's payment at Stripe, whichever way it is paid."""

from dataclasses import dataclass
from enum import Enum

from billing.stripe_api.charges import Charge


class PaymentState(Enum):
    """How far a payment is."""

    OPEN = "open"
    # The customer has finished, and the bank has not confirmed yet.
    PENDING = "pending"
    # Nothing more is owed.
    PAID = "paid"
    # It was tried, and will not be paid unless somebody acts.
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The present state of a payment. Absent texts are empty.

    A payment outside Checkout has no session; a free one has no PaymentIntent.
    """

    state: PaymentState
    order_id: str
    is_live: bool
    currency: str
    # The amount paid, once it is paid: the price, less discount, with tax.
    paid_cents: int | None
    discount_cents: int = 0
    tax_cents: int = 0
    payment_intent_id: str
    session_id: str = ""
    session_url: str = ""
    invoice_url: str = ""
    charge: Charge | None

    @property
    def stripe_id(self) -> str:
        """Return the id of the payment's session, or of its PaymentIntent if it has no session."""
        return self.session_id or self.payment_intent_id

    @property
    def is_paid(self) -> bool:
        return self.state is PaymentState.PAID
