"""Stripe's rules for the amounts of a currency, from `currencies.csv`.

Each row of the file has decimal places, the smallest step and the least charge in Stripe's minor
unit, the chapter of https://docs.stripe.com/currencies that says so, and when it was read. Stripe
names least charges for the currencies that it pays out; a charge in any other must come to as much
after conversion, so those rows have none. The sandbox has a table of its own, from another reading,
so that a wrong row is not proved right by its own copy.
"""

import csv
from pathlib import Path
from typing import NamedTuple

SOURCED, CONTRADICTED = "sourced", "contradicted"


class Currency(NamedTuple):
    """The rules of one currency. No `minimum`: Stripe names none."""

    places: int
    step: int
    minimum: int | None
    status: str


def _read() -> dict[str, Currency]:
    with Path(__file__).with_name("currencies.csv").open(encoding="ascii", newline="") as file:
        return {
            row["code"]: Currency(
                places=int(row["places"]),
                step=int(row["step"]),
                minimum=int(row["minimum"]) if row["minimum"] else None,
                status=row["status"],
            )
            for row in csv.DictReader(file)
        }


TABLE = _read()
# A currency that the table does not have; two decimal places unless Stripe says otherwise.
UNKNOWN = Currency(2, 1, None, "unknown")

# Stripe's page lists UGX among the zero-decimal currencies, and under #special-cases as one with
# two decimal places in whole hundreds. The wrong choice would charge a hundredth or a hundredfold,
# so nothing is sold in it until a charge in test mode has shown which one holds.
# docs/payments.md says how.
UNPROVEN = frozenset(code for code, row in TABLE.items() if row.status == CONTRADICTED)
UNPROVEN_REASON = (
    "Nothing can be sold in UGX yet: Stripe's documentation names it both as a currency without "
    "decimal places and as one with two, so a customer might be charged a hundredth of the price. "
    "See docs/payments.md."
)


def rules_of(currency: str) -> Currency:
    """Return the rules of a currency; those of two decimal places if it is not known."""
    return TABLE.get(currency, UNKNOWN)


def is_unproven(currency: str) -> bool:
    """Return whether it is still unknown how Stripe reads amounts of this currency."""
    return currency in UNPROVEN


def decimal_places(currency: str) -> int:
    """Return how many decimal places Stripe's amounts of this currency have."""
    return rules_of(currency).places


def smallest_step(currency: str) -> int:
    """Return what amounts in the smallest unit must be divisible by.

    Amounts with three decimal places must end in 0; the króna has two, but takes whole ones only.
    """
    return rules_of(currency).step


def least_charge(currency: str) -> int | None:
    """Return the least amount that Stripe charges; None if it names none for this currency."""
    return rules_of(currency).minimum


def doubt_of(currency: str) -> str:
    """Return what of a currency's rules is not verified, for staff; empty if all of it is."""
    if currency not in TABLE:
        return (
            f"{currency.upper()} is not in our table of Stripe's currencies: its decimal places "
            "and least charge are not verified. Buy the pack once in test mode before you sell it."
        )
    if rules_of(currency).minimum is None:
        return (
            f"Stripe names no least charge for {currency.upper()}: the price must come to the "
            "least charge of the currency that you are paid out in. Buy the pack once in test mode."
        )
    return ""
