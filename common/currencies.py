"""What Stripe demands of amounts of a currency. https://docs.stripe.com/currencies"""

# Amounts without, and with three, decimal places.
# fmt: off
ZERO_DECIMAL = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
})
# fmt: on
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


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
