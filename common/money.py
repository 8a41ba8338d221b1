"""Money and credits as text. Integers in, text out; nothing else formats them."""

from decimal import ROUND_HALF_UP, Decimal

from common.currencies import decimal_places

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩"}
MILLION = 1_000_000
STEPS = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (MILLION, "M"), (1_000, "k"))


def credits(amount_credits: int) -> str:
    """Return credits with thousands separators, such as 1,234,567."""
    return f"{amount_credits:,}".replace("-", "−")


def compact(amount_credits: int) -> str:
    """Return credits such as 1.2M, rounded down, so that no page promises more than there is."""
    for size, letter in STEPS:
        if amount_credits >= size:
            tenths = amount_credits * 10 // size
            whole, tenth = divmod(tenths, 10)
            return f"{whole:,}.{tenth}{letter}" if tenth else f"{whole:,}{letter}"
    return str(amount_credits)


def brief(count: int) -> str:
    """Return a count in words such as 1.6 million, rounded down."""
    for size, word in ((MILLION * 1_000, "billion"), (MILLION, "million")):
        if count >= size:
            whole, tenth = divmod(count * 10 // size, 10)
            return f"{whole:,}.{tenth} {word}" if tenth and whole < 10 else f"{whole:,} {word}"
    return f"{count // 1_000 * 1_000:,}" if count >= 10_000 else f"{count:,}"


def price(amount_cents: int, currency: str) -> str:
    """Return $9.00, €9.00, ¥900 or CHF 9.00 for an amount in the smallest unit."""
    places = decimal_places(currency)
    return with_symbol(f"{Decimal(amount_cents).scaleb(-places):,.{places}f}", currency)


def plain(amount_cents: int, currency: str) -> str:
    """Return an amount in the smallest unit as a form has it, such as 9.00."""
    places = decimal_places(currency)
    return f"{Decimal(amount_cents).scaleb(-places):.{places}f}"


def micros(amount_cents: int, currency: str) -> int:
    """Return an amount in the smallest unit as millionths of the currency."""
    scale: int = 10 ** (6 - decimal_places(currency))
    return amount_cents * scale


def amount(amount_micros: int, currency: str) -> str:
    """Return millionths of a currency as a price, rounded to its decimal places."""
    places = decimal_places(currency)
    rounded = Decimal(amount_micros).scaleb(-6).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = "−" if rounded < 0 else ""
    return sign + with_symbol(f"{abs(rounded):,}", currency)


def per_million(pack_cents: int, pack_credits: int) -> Decimal:
    """Return what a million credits of a pack cost, in the smallest unit, unrounded."""
    return Decimal(pack_cents) * MILLION / pack_credits


def fine_price(amount_cents: Decimal, currency: str) -> str:
    """Return a unit price, with two more decimal places where it needs them."""
    places = decimal_places(currency)
    amount = amount_cents.scaleb(-places)
    short = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if short == amount:
        return with_symbol(f"{short:,}", currency)
    fine = amount.quantize(Decimal(1).scaleb(-places - 2), ROUND_HALF_UP)
    return with_symbol(f"{fine:,}", currency)


def rate(rate_millicredits: int) -> str:
    """Return credits per token, such as 1, 0.5 or 0.075."""
    return f"{Decimal(rate_millicredits).scaleb(-3).normalize():,f}"


def per_million_tokens(rate_millicredits: int) -> int:
    """Return the credits that a million tokens take."""
    return rate_millicredits * MILLION // 1_000


def millicredits(amount_millicredits: int) -> str:
    """Return credits with as many decimal places as they need: 1,180 or 30.5."""
    return f"{Decimal(amount_millicredits).scaleb(-3).normalize():,f}"


def with_symbol(text: str, currency: str) -> str:
    """Put the currency before the figure."""
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{text}" if symbol else f"{currency.upper()} {text}"
