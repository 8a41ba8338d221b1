"""The cards, and other methods, that customers save for charges in their absence."""

from dataclasses import dataclass
from typing import Literal, get_args

import stripe
from stripe.params.checkout import SessionCreateParams

from billing.exceptions import PaymentProviderRefusal
from billing.stripe_api.charges import read_id
from billing.stripe_api.client import call_stripe, read_metadata
from billing.stripe_api.locales import locale_of

# The key of the top-up's id in the metadata of its set-up sessions.
TOP_UP_KEY = "top_up_id"
PAGE = 100

# What is saved once and then charged while its owner is away, without a page to lead to. Stripe
# leaves out those that the account or the currency has not. Read on 2026-11-28:
# https://docs.stripe.com/payments/payment-methods/payment-method-support
# https://docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter
Chargeable = Literal[
    "card", "au_becs_debit", "bacs_debit", "nz_bank_account", "sepa_debit", "us_bank_account"
]  # fmt: skip
CHARGEABLE: tuple[Chargeable, ...] = get_args(Chargeable)


@dataclass(frozen=True, slots=True)
class Setup:
    """The present state of a Checkout Session of `mode=setup`. Absent texts are empty."""

    session_id: str
    url: str
    status: str
    is_live: bool
    top_up_id: str
    customer_id: str
    payment_method_id: str
    method_type: str
    label: str

    @property
    def is_complete(self) -> bool:
        return self.status == "complete" and bool(self.payment_method_id)


def create_setup(
    *,
    customer_id: str,
    currency: str,
    top_up_id: str,
    success_url: str,
    cancel_url: str,
    language: str = "",
) -> Setup:
    """Create the Checkout Session in which a customer saves a card. Each call makes a new one."""
    params: SessionCreateParams = {
        "mode": "setup",
        "customer": customer_id,
        "currency": currency,
        "locale": locale_of(language),
        # Among the dashboard's are some that only their owner can pay with.
        "allowed_payment_method_types": [*CHARGEABLE],
        "client_reference_id": top_up_id,
        "metadata": {TOP_UP_KEY: top_up_id},
        "setup_intent_data": {"metadata": {TOP_UP_KEY: top_up_id}},
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    with call_stripe() as client:
        return _setup(client.v1.checkout.sessions.create(params))


def read_setup(session_id: str) -> Setup:
    """Read a set-up session with the card that it saved. Raises PaymentObjectMissing."""
    with call_stripe() as client:
        session = client.v1.checkout.sessions.retrieve(
            session_id, {"expand": ["setup_intent.payment_method"]}
        )
        return _setup(session)


def detach_cards(customer_id: str, *, keep: str = "", spare_shown: bool = False) -> list[str]:
    """Detach a customer's payment methods, except `keep`. Returns their ids. Safe to repeat.

    `spare_shown` leaves those that Checkout shows again, because the customer asked it to. Raises
    PaymentObjectMissing.
    """
    with call_stripe() as client:
        found = client.v1.customers.payment_methods.list(customer_id, {"limit": PAGE})
        saved = [
            method.id
            for method in found.auto_paging_iter()
            if method.id != keep and not (spare_shown and method.allow_redisplay == "always")
        ]
    for method_id in saved:
        _detach(method_id)
    return saved


def _detach(method_id: str) -> None:
    try:
        with call_stripe() as client:
            client.v1.payment_methods.detach(method_id)
    except PaymentProviderRefusal as refusal:
        # Another process has detached it since it was listed. Other refusals, such as of a key
        # without permission, are raised.
        if not isinstance(refusal.__cause__, stripe.InvalidRequestError):
            raise


def _setup(session: stripe.checkout.Session) -> Setup:
    intent = session.setup_intent
    method = intent.payment_method if isinstance(intent, stripe.SetupIntent) else None
    return Setup(
        session_id=session.id,
        url=session.url or "",
        status=session.status or "",
        is_live=session.livemode,
        top_up_id=read_metadata(session.metadata, TOP_UP_KEY),
        customer_id=read_id(session.customer),
        payment_method_id=read_id(method),
        method_type=method.type if isinstance(method, stripe.PaymentMethod) else "",
        label=_label(method) if isinstance(method, stripe.PaymentMethod) else "",
    )


def _label(method: stripe.PaymentMethod) -> str:
    """Return a payment method's name as its owner knows it."""
    card = getattr(method, "card", None)
    if card is not None:
        return f"{card.brand.replace('_', ' ').title()} ending in {card.last4}"
    bank = getattr(method, "us_bank_account", None)
    if bank is not None:
        return f"{bank.bank_name or 'Bank account'} ending in {bank.last4}"[:60]
    return method.type.replace("_", " ").title()
