"""Small shapes that several objects have in common."""

from typing import Any

from sandbox.stripe.store import JsonObject

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
