"""What Stripe says of the payment of an order, whichever way it is paid."""

from dataclasses import dataclass
from enum import Enum

from billing.stripe_api.charges import Charge


class PaymentState(Enum):
    """How far a payment is."""

    OPEN = "open"
    # The customer is through with it, but the bank takes its time.
    PENDING = "pending"
    # Nothing more is owed.
    PAID = "paid"
    # It was tried and will not be paid by itself any more.
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The present state of a payment. Absent texts are empty.

    Outside Checkout there is no session; of what is free there is no PaymentIntent.
    """

    state: PaymentState
    order_id: str
    is_live: bool
    currency: str
    # What was paid, once it is paid: what was sold, less discount, with tax.
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
        """The id of the object at Stripe that stands for the payment."""
        return self.session_id or self.payment_intent_id

    @property
    def is_paid(self) -> bool:
        return self.state is PaymentState.PAID
