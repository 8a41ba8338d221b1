"""Small shapes that several objects have in common."""

from typing import Any

from sandbox.stripe import currencies
from sandbox.stripe.errors import InvalidParameter
from sandbox.stripe.store import Condition, JsonObject

EMPTY_ADDRESS: JsonObject = {
    "city": None,
    "country": None,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}


def address(given: Any) -> JsonObject | None:
    """Return an address with all its keys; None for one that was unset."""
    return {**EMPTY_ADDRESS, **given} if given else None


def merge_metadata(present: dict[str, str], given: Any) -> dict[str, str]:
    """Return metadata after an update: empty text removes a key, or all of them."""
    if given == "":
        return {}
    merged = {**present, **(given or {})}
    return {key: value for key, value in merged.items() if value != ""}


def or_none(value: Any) -> Any:
    """Return None for empty text, which is how a form unsets a parameter."""
    return None if value == "" else value


def billing_details(*, email: str | None, name: str | None) -> JsonObject:
    return {
        "address": dict(EMPTY_ADDRESS),
        "email": email,
        "name": name,
        "phone": None,
        "tax_id": None,
    }


# What this emulator has, and the currency that each is bound to, if it is.
_METHOD_TYPES = {"card": None, "us_bank_account": "usd"}


def method_types(given: JsonObject, currency: str | None) -> list[str]:
    """Return the kinds of payment methods that are taken: all that fit, of those allowed if any
    are named. What the account or the currency has not is left out without a word.

    https://docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter
    """
    allowed = given.get("allowed_payment_method_types", _METHOD_TYPES)
    return [
        name
        for name, bound in _METHOD_TYPES.items()
        if name in allowed and bound in (None, currency)
    ]


def any_of(path: str, values: list[str] | None) -> tuple[Condition, ...]:
    """Return the filter of a list of values, of which one must fit; none without a list."""
    return () if not values else (Condition(path=path, value=tuple(values)),)


def checked_currency(given: str, param: str = "currency") -> str:
    """Return a currency's code in lower case, or refuse one that Stripe does not know."""
    currency = given.lower()
    if currencies.is_unproven(currency):
        raise InvalidParameter(
            f"This emulator does not know how Stripe reads amounts in {currency.upper()}: "
            "https://docs.stripe.com/currencies says both with and without decimal places.",
            code="parameter_not_emulated",
            param=param,
        )
    if not currencies.is_known(currency):
        raise InvalidParameter(
            f"Invalid currency: {given[:20]}. Stripe does not support it.", param=param
        )
    return currency


def check_step(amount: int, currency: str, param: str) -> None:
    """Refuse an amount finer than its currency is paid in."""
    step = currencies.step(currency)
    if amount % step:
        raise InvalidParameter(
            f"Invalid amount. Amounts in {currency.upper()} must be evenly divisible by {step}. "
            "See https://docs.stripe.com/currencies for more information.",
            # Where Stripe names one: it speaks of currencies that have lost their decimals.
            code="invalid_charge_amount_no_decimal_compatible" if step == 100 else None,
            param=param,
        )


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that no charge may have."""
    check_step(amount, currency, "amount")
    least = currencies.minimum(currency)
    if amount < least:
        raise InvalidParameter(
            f"Amount must be at least {currencies.written(least, currency)} {currency}",
            code="amount_too_small",
            param="amount",
        )
    if amount > currencies.MAXIMUM:
        raise InvalidParameter(
            f"Amount must be no more than {currencies.written(currencies.MAXIMUM, currency)} "
            f"{currency}",
            code="amount_too_large",
            param="amount",
        )
