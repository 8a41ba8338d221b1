"""Stripe's rules for the amounts of a currency. https://docs.stripe.com/currencies"""

# Amounts without, and with three, decimal places.
# fmt: off
ZERO_DECIMAL = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
})
# fmt: on
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# Stripe's page lists it among the zero-decimal currencies, and under #special-cases as one with two
# decimal places in whole hundreds. The wrong choice would charge a hundredth or a hundredfold, so
# nothing is sold in it until a charge in test mode has shown which one holds.
# docs/payments.md says how.
UNPROVEN = frozenset({"ugx"})
UNPROVEN_REASON = (
    "Nothing can be sold in UGX yet: Stripe's documentation names it both as a currency without "
    "decimal places and as one with two, so a customer might be charged a hundredth of the price. "
    "See docs/payments.md."
)


def is_unproven(currency: str) -> bool:
    """Return whether it is still unknown how Stripe reads amounts of this currency."""
    return currency in UNPROVEN


def decimal_places(currency: str) -> int:
    """Return how many decimal places Stripe's amounts of this currency have."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """Return what amounts in the smallest unit must be divisible by.

    Amounts with three decimal places must end in 0; the króna has two, but takes whole ones only.
    """
    if currency in THREE_DECIMAL:
        return 10
    return 100 if currency == "isk" else 1
