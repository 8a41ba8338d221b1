"""What the product assumes of Stripe, walked against an account in test mode.

Each check has the name of its row in `docs/stripe-assumptions.md`. They go through the functions
that the product uses, and use nothing but Stripe's API and its test payment methods; one payment is
made by a person, on Stripe's page. https://docs.stripe.com/testing
"""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from billing.exceptions import (
    PaymentObjectMissing,
    PaymentProviderError,
    PaymentProviderRefusal,
)
from billing.stripe_api.card_payments import (
    CardPayment,
    cancel_payment,
    create_payment,
    names_method,
    read_payment,
)
from billing.stripe_api.charges import Charge, read_charge
from billing.stripe_api.checkouts import Checkout, create_checkout, expire_checkout, read_checkout
from billing.stripe_api.client import ORDER_KEY, call_stripe
from billing.stripe_api.customers import create_customer, update_customer
from billing.stripe_api.listing import MOST_KINDS, list_events
from billing.stripe_api.payments import PaymentState
from billing.stripe_api.refunds import create_refund
from billing.stripe_api.saved_cards import CHARGEABLE, create_setup, detach_cards, read_setup

Answer = TypeVar("Answer")

AMOUNT_CENTS = 900
PAUSE_S = 1.0
# What happens without a person is there within this time.
PATIENCE_S = 60
PAGE = "https://example.com/"


class Differs(Exception):
    """Stripe answered otherwise than the product assumes."""


class Skipped(Exception):
    """Nothing is said about this: what it builds on is missing."""


@dataclass
class Walk:
    """One walk: what it made at Stripe, for the checks that follow and for cleaning up."""

    report: Callable[[str], None]
    # How long a person may take to pay; 0: nobody is there.
    person_s: int
    kinds: Sequence[str]
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    customers: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    payments: list[str] = field(default_factory=list)
    disputed: str = ""

    @property
    def customer_id(self) -> str:
        if not self.customers:
            raise Skipped("there is no customer")
        return self.customers[0]

    def paid(self) -> CardPayment:
        if not self.payments:
            raise Skipped("nothing was paid")
        return read_payment(self.payments[0])


def run_walk(walk: Walk) -> int:
    """Walk every check, report each, clean up, and return how many differ."""
    differing = 0
    try:
        for name, check in CHECKS.items():
            try:
                check(walk)
                walk.report(f"ok       {name}")
            except Skipped as reason:
                walk.report(f"skipped  {name}: {reason}")
            except (Differs, PaymentProviderError) as error:
                differing += 1
                walk.report(f"DIFFERS  {name}: {error} {error.__cause__ or ''}".rstrip())
    finally:
        _clean_up(walk)
    return differing


def _demand(is_so: object, words: str) -> None:
    if not is_so:
        raise Differs(words)


def _refused(ask: Callable[[], object]) -> PaymentProviderRefusal:
    """Return how Stripe refuses. Raises Differs if it does not."""
    try:
        ask()
    except PaymentProviderRefusal as refusal:
        return refusal
    raise Differs("it was not refused")


def _until(
    read: Callable[[], Answer], is_so: Callable[[Answer], object], *, patience_s: float = PATIENCE_S
) -> Answer:
    """Read until it is so, or return what there is when time is up."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = read()
        if is_so(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(PAUSE_S)


def _make_customer(walk: Walk, email: str, mark: str) -> str:
    return create_customer(
        email=email, owner_id=walk.name, idempotency_key=f"check-{walk.name}-{mark}"
    )


def _same_key_same_answer(walk: Walk) -> None:
    first = _make_customer(walk, "one@example.com", "customer")
    walk.customers.append(first)
    _demand(first == _make_customer(walk, "one@example.com", "customer"), "it made another")
    try:
        _make_customer(walk, "two@example.com", "customer")
    except PaymentProviderError:
        return
    raise Differs("a key that is repeated with other parameters was taken")


def _email_follows(walk: Walk) -> None:
    update_customer(walk.customer_id, email="two@example.com")
    with call_stripe() as client:
        found = client.v1.customers.retrieve(walk.customer_id)
        _demand(found.email == "two@example.com", f"it is {found.email}")


def _gone_customer_is_named(walk: Walk) -> None:
    gone = _make_customer(walk, "gone@example.com", "gone")
    with call_stripe() as client:
        client.v1.customers.delete(gone)
    refusal = _refused(lambda: _set_up(walk, gone))
    _demand(isinstance(refusal, PaymentObjectMissing), f"its code is {refusal.code!r}")
    _demand(refusal.param == "customer", f"it names {refusal.param!r}")


def _set_up(walk: Walk, customer_id: str) -> str:
    urls = {"success_url": PAGE, "cancel_url": PAGE}
    setup = create_setup(customer_id=customer_id, currency="usd", top_up_id=walk.name, **urls)
    walk.sessions.append(setup.session_id)
    return setup.session_id


def _only_chargeable_kinds(walk: Walk) -> None:
    session_id = _set_up(walk, walk.customer_id)
    with call_stripe() as client:
        kinds = client.v1.checkout.sessions.retrieve(session_id).payment_method_types
        _demand(kinds and set(kinds) <= set(CHARGEABLE), f"it offers {', '.join(kinds)}")


def _ended_page_stays_ended(walk: Walk) -> None:
    session_id = _set_up(walk, walk.customer_id)
    expire_checkout(session_id)
    found = read_setup(session_id)
    _demand(found.status == "expired", f"it is {found.status}")
    refusal = _refused(lambda: expire_checkout(session_id))
    _demand(not isinstance(refusal, PaymentObjectMissing), f"its code is {refusal.code!r}")


def _person_pays(walk: Walk) -> None:
    made = create_checkout(
        {
            "mode": "payment",
            "client_reference_id": walk.name,
            "metadata": {ORDER_KEY: walk.name},
            "payment_intent_data": {"metadata": {ORDER_KEY: walk.name}},
            "customer": walk.customer_id,
            "customer_update": {"name": "auto", "address": "auto"},
            "saved_payment_method_options": {"payment_method_save": "enabled"},
            "allow_promotion_codes": True,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": AMOUNT_CENTS,
                        "product_data": {"name": "Check of assumptions"},
                    },
                }
            ],
            "success_url": PAGE,
            "cancel_url": PAGE,
        },
        idempotency_key=f"check-{walk.name}-checkout",
    )
    walk.sessions.append(made.session_id)
    if not walk.person_s:
        raise Skipped("nobody is there to pay")
    walk.report(f"Please pay with 4242 4242 4242 4242: {made.session_url}")
    _demand_paid(
        walk,
        _until(
            lambda: read_checkout(made.session_id),
            lambda found: found.state is not PaymentState.OPEN,
            patience_s=walk.person_s,
        ),
    )


def _demand_paid(walk: Walk, found: Checkout) -> None:
    if found.state is PaymentState.OPEN:
        raise Skipped("nobody paid")
    _demand(found.is_paid, f"it is {found.status}, {found.payment_status}")
    _demand(found.subtotal_cents == AMOUNT_CENTS, f"the subtotal is {found.subtotal_cents}")
    _demand(found.client_reference == found.order_id == walk.name, "reference or metadata differ")
    charge = found.charge
    _demand(charge and charge.order_id == walk.name, "the charge has not the payment's metadata")


def _charge(walk: Walk, method_id: str, mark: str) -> str:
    params = {
        "amount": AMOUNT_CENTS,
        "currency": "usd",
        "customer": walk.customer_id,
        "payment_method": method_id,
        "confirm": True,
        "off_session": True,
        "allowed_payment_method_types": CHARGEABLE,
        "metadata": {ORDER_KEY: walk.name},
    }
    return create_payment(params, idempotency_key=f"check-{walk.name}-{mark}")


def _attach(walk: Walk, test_method: str) -> str:
    with call_stripe() as client:
        saved = client.v1.payment_methods.attach(test_method, {"customer": walk.customer_id})
        return saved.id


def _charged_while_away(walk: Walk) -> None:
    method_id = _attach(walk, "pm_card_visa")
    intent_id = _charge(walk, method_id, "visa")
    walk.payments.append(intent_id)
    _demand(intent_id == _charge(walk, method_id, "visa"), "the same key charged twice")
    paid = walk.paid()
    _demand(paid.is_paid and paid.paid_cents == AMOUNT_CENTS, f"it is {paid.status}")
    _demand(paid.customer_id == walk.customer_id, "it is another customer's")
    _demand(paid.charge and paid.charge.receipt_url, "its charge has no receipt")


def _declined_while_away(walk: Walk) -> None:
    intent_id = _charge(walk, _attach(walk, "pm_card_chargeCustomerFail"), "declined")
    failed = read_payment(intent_id)
    _demand(failed.state is PaymentState.FAILED, f"it is {failed.status}")
    _demand(failed.decline_code or failed.error_code, "it has no code")
    cancel_payment(intent_id)
    _demand(read_payment(intent_id).status == "canceled", "it was not cancelled")


def _authentication_while_away(walk: Walk) -> None:
    intent_id = _charge(walk, _attach(walk, "pm_card_authenticationRequired"), "3ds")
    asked = read_payment(intent_id)
    _demand(asked.state is PaymentState.FAILED, f"it is {asked.status}")
    _demand(asked.needs_authentication, f"its codes: {asked.error_code} {asked.decline_code}")
    cancel_payment(intent_id)


def _gone_method_is_named(walk: Walk) -> None:
    missing = _refused(lambda: _charge(walk, "pm_1NoSuchMethod", "missing"))
    _demand(isinstance(missing, PaymentObjectMissing), f"its code is {missing.code!r}")
    _demand(missing.param == "payment_method", f"it names {missing.param!r}")
    method_id = _attach(walk, "pm_card_mastercard")
    with call_stripe() as client:
        client.v1.payment_methods.detach(method_id)
    detached = _refused(lambda: _charge(walk, method_id, "detached"))
    _demand(names_method(detached), f"it names {detached.param!r} with {detached.code!r}")


def _refund(walk: Walk, amount_cents: int, mark: str) -> None:
    create_refund(
        walk.paid().payment_intent_id,
        amount_cents=amount_cents,
        reason="requested_by_customer",
        order_id=walk.name,
        refund_id=f"{walk.name}-{mark}",
    )


def _part_is_refunded(walk: Walk) -> None:
    _refund(walk, 100, "part")
    charge = walk.paid().charge
    _demand(charge and charge.refunded_cents == 100, "the charge's sum differs")
    refunds = charge.refunds if charge else ()
    _demand([each.our_id for each in refunds] == [f"{walk.name}-part"], "its metadata differ")
    _demand(refunds[0].status in {"succeeded", "pending"}, f"it is {refunds[0].status}")


def _more_is_not_refunded(walk: Walk) -> None:
    _refused(lambda: _refund(walk, AMOUNT_CENTS, "too-much"))


def _disputed_charge(walk: Walk) -> Charge:
    if not walk.disputed:
        raise Skipped("nothing is disputed")
    return read_charge(walk.disputed)


def _is_disputed(walk: Walk) -> None:
    intent_id = _charge(walk, _attach(walk, "pm_card_createDispute"), "dispute")
    charge = read_payment(intent_id).charge
    _demand(charge, "it has no charge")
    walk.disputed = charge.charge_id if charge else ""
    found = _until(lambda: _disputed_charge(walk), lambda each: each.disputes)
    _demand(found.disputes, "no dispute came")
    dispute = found.disputes[0]
    _demand(dispute.currency == found.currency, f"it is in {dispute.currency}")
    _demand(found.disputed_cents == AMOUNT_CENTS, f"it takes {found.disputed_cents}")


def _dispute_is_won(walk: Walk) -> None:
    dispute_id = _disputed_charge(walk).disputes[0].dispute_id
    with call_stripe() as client:
        client.v1.disputes.update(
            dispute_id,
            {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True},
        )
    found = _until(lambda: _disputed_charge(walk), lambda each: not each.disputed_cents)
    _demand(not found.disputed_cents, f"it is {found.disputes[0].status}")


def _events_are_listed(walk: Walk) -> None:
    wanted = {"payment_intent.succeeded", "payment_intent.payment_failed"}
    wanted |= {"refund.created", "charge.dispute.created"} & set(walk.kinds)
    if not walk.payments:
        raise Skipped("nothing was paid")

    def read() -> set[str]:
        since = walk.began_at - timedelta(minutes=1)
        return {str(event["type"]) for event in list_events(since, walk.kinds)}

    found = _until(read, lambda kinds: wanted <= kinds)
    _demand(wanted <= found, f"nothing of {', '.join(sorted(wanted - found))}")


def _events_name_so_many_kinds(walk: Walk) -> None:
    kinds = [f"charge.kind_{number}" for number in range(MOST_KINDS + 1)]

    def ask() -> None:
        with call_stripe() as client:
            client.v1.events.list({"types": kinds})

    _refused(ask)


# In the order in which they build on each other.
CHECKS: dict[str, Callable[[Walk], None]] = {
    "same key, same answer": _same_key_same_answer,
    "a customer's address can be changed": _email_follows,
    "a customer who is gone is named": _gone_customer_is_named,
    "a set-up offers the kinds that are allowed": _only_chargeable_kinds,
    "a page that is ended stays ended": _ended_page_stays_ended,
    "a Checkout is paid as it was asked for": _person_pays,
    "a saved card is charged while its owner is away": _charged_while_away,
    "a decline keeps its payment": _declined_while_away,
    "a bank that asks for its customer says so": _authentication_while_away,
    "a method that is gone is named": _gone_method_is_named,
    "a part is refunded": _part_is_refunded,
    "no more is refunded than was paid": _more_is_not_refunded,
    "a dispute takes its sum": _is_disputed,
    "a dispute that is won takes nothing": _dispute_is_won,
    "events tell of all that": _events_are_listed,
    "one call names twenty kinds of events": _events_name_so_many_kinds,
}


def _clean_up(walk: Walk) -> None:
    """Undo what can be undone; what is gone already is no matter."""
    undo: list[tuple[Callable[[str], object], list[str]]] = [
        (detach_cards, walk.customers),
        (expire_checkout, walk.sessions),
        (_refund_rest, walk.payments),
        (_delete, walk.customers),
    ]
    for end, ids in undo:
        for each in ids:
            with suppress(PaymentProviderError):
                end(each)


def _refund_rest(intent_id: str) -> None:
    with call_stripe() as client:
        client.v1.refunds.create({"payment_intent": intent_id})


def _delete(customer_id: str) -> None:
    with call_stripe() as client:
        client.v1.customers.delete(customer_id)
