"""Stripe's test cards and what becomes of a payment with each.

https://docs.stripe.com/testing
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sandbox.stripe.errors import CardDeclined, StripeError
from sandbox.stripe.store import JsonObject

PAYS = "4242424242424242"
DECLINES = "4000000000000002"
# A refund to it stays pending for a while.
REFUNDS_LATER = "4000000000007726"
WARNS = "4000000000005423"

_BRANDS = {"4": "visa", "5": "mastercard", "2": "mastercard", "3": "amex"}


@dataclass(frozen=True)
class Complaint:
    """What the cardholder does after paying."""

    reason: Literal["fraudulent", "product_not_received"]
    is_inquiry: bool


@dataclass(frozen=True)
class Decline:
    code: str
    decline_code: str | None
    message: str


DISPUTES = {
    "4000000000000259": Complaint("fraudulent", is_inquiry=False),
    "4000000000002685": Complaint("product_not_received", is_inquiry=False),
    "4000000000001976": Complaint("fraudulent", is_inquiry=True),
}
# A bank that wants its cardholder to confirm: see `needs_authentication`.
_ALWAYS_ASKS = frozenset({"4000002760003184", "4000000000003220", "4000008400001629"})
_ASKS_ONCE = frozenset({"4000002500003155", "4000008260003178"})
_ASKS_ON_SESSION = "4000003800000446"
# Can be saved, and fails whenever it is charged.
_FAILS_LATER = "4000000000000341"
_PAYING = frozenset(
    {
        PAYS, "4000056655665556", "5555555555554444", "2223003122003222", "378282246310005",
        "4000000000003055", REFUNDS_LATER, *DISPUTES, WARNS,
        "4000002760003184", "4000000000003220", "4000002500003155", _ASKS_ON_SESSION,
    }
)  # fmt: skip

_GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
_DECLINING = {
    DECLINES: _GENERIC,
    "4000000000009995": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "4000008260003178": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "4000008400001629": _GENERIC,
    _FAILS_LATER: _GENERIC,
    "4000000000009987": Decline("card_declined", "lost_card", "Your card was declined."),
    "4000000000009979": Decline("card_declined", "stolen_card", "Your card was declined."),
    "4000000000000069": Decline("expired_card", "expired_card", "Your card has expired."),
    "4000000000000127": Decline(
        "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."
    ),
    "4000000000000119": Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}
# What an off-session payment hears where a customer would have been asked.
NOT_AUTHENTICATED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
_REAL_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. "
    "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
)


@dataclass(frozen=True, kw_only=True)
class Card:
    number: str
    exp_month: int
    exp_year: int
    name: str | None = None

    @property
    def brand(self) -> str:
        return _BRANDS.get(self.number[0], "unknown")

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """Return what is the same for the same card: not the number."""
        return hashlib.sha256(f"sandbox:{self.number}".encode()).hexdigest()[:16]

    def decline(self) -> Decline | None:
        """Return why a payment with this card fails, or None."""
        if self.number in _PAYING:
            return None
        return _DECLINING.get(self.number, _REAL_CARD)

    def refuses_setup(self) -> Decline | None:
        """Return why this card can't even be saved, or None."""
        asks = self.number in _ALWAYS_ASKS | _ASKS_ONCE
        return None if asks or self.number == _FAILS_LATER else self.decline()

    def needs_authentication(self, *, off_session: bool, is_set_up: bool) -> bool:
        """Return whether the bank asks its cardholder; one set up off session is known to it."""
        if self.number in _ALWAYS_ASKS:
            return True
        if self.number in _ASKS_ONCE:
            return not (off_session and is_set_up)
        return self.number == _ASKS_ON_SESSION and not off_session

    @property
    def type(self) -> str:
        return "card"

    @property
    def is_slow(self) -> bool:
        return False

    def shown(self) -> JsonObject:
        """Return what the API tells of a card, wherever it tells of one."""
        return {
            "brand": self.brand,
            "country": "US",
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "fingerprint": self.fingerprint,
            "funding": "credit",
            "last4": self.last4,
            "regulated_status": "unregulated",
            "wallet": None,
        }


def read_card(*, number: str, expiry: str, cvc: str, name: str | None, now: int) -> Card:
    """Return a card as typed into a form, or raise what Checkout says of a mistyped one."""
    digits = re.sub(r"[ -]", "", number)
    if not is_card_number(digits):
        raise _refused("incorrect_number", "Your card number is invalid.", "number")
    match = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(?:20)?(\d{2})\s*", expiry)
    if not match or not 1 <= int(match[1]) <= 12:
        raise _refused("invalid_expiry_month", "Your card's expiration date is invalid.", "expiry")
    month, year = int(match[1]), 2000 + int(match[2])
    today = datetime.fromtimestamp(now, UTC)
    if (year, month) < (today.year, today.month):
        raise _refused(
            "invalid_expiry_year", "Your card's expiration date is in the past.", "expiry"
        )
    if not re.fullmatch(r"\d{3,4}", cvc.strip()):
        raise _refused("invalid_cvc", "Your card's security code is invalid.", "cvc")
    return Card(number=digits, exp_month=month, exp_year=year, name=name)


def _refused(code: str, message: str, param: str) -> StripeError:
    return CardDeclined(message, code=code, param=param)


def is_card_number(digits: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{12,19}", digits)) and _passes_luhn(digits)


def _passes_luhn(digits: str) -> bool:
    doubled = [int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0
