"""What Stripe demands of amounts of a currency. https://docs.stripe.com/currencies"""

# Amounts without, and with three, decimal places.
# fmt: off
ZERO_DECIMAL = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
})
# fmt: on
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# Stripe's page names it among the zero-decimal currencies, and under #special-cases as one of two
# decimal places in whole hundreds. Whichever we took, the other would charge a hundredth or a
# hundredfold, so nothing is sold in it until a charge in test mode has shown which one holds.
# docs/payments.md says how.
UNPROVEN = frozenset({"ugx"})
UNPROVEN_REASON = (
    "Nothing can be sold in UGX yet: Stripe's documentation names it both as a currency without "
    "decimal places and as one with two, so a customer might be charged a hundredth of the price. "
    "See docs/payments.md."
)


def is_unproven(currency: str) -> bool:
    """Tell whether nobody knows yet how Stripe reads amounts of this currency."""
    return currency in UNPROVEN


def decimal_places(currency: str) -> int:
    """Return how many decimal places Stripe's amounts of this currency have."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """Return what amounts in the smallest unit must be divisible by.

    Thousandths come in tens, and of the króna, which has two decimal places, there are whole ones.
    """
    if currency in THREE_DECIMAL:
        return 10
    return 100 if currency == "isk" else 1
