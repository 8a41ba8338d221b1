"""Money and credits as text. Integers in, text out; nothing else formats them.

In the reader's language: outside of pages and mails that is English.
"""

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from django.utils.formats import get_format
from django.utils.translation import get_language, ngettext, pgettext

from common.currencies import decimal_places

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩"}
MILLION = 1_000_000
STEPS = (1_000_000_000_000, 1_000_000_000, MILLION, 1_000)


def localised(figure: str) -> str:
    """Return a figure such as 1,234.5 with the separators of the reader's language."""
    return figure.translate(_separators(get_language()))


@lru_cache
def _separators(language: str | None) -> dict[int, str]:
    """Return what stands for each separator in a language; a page has hundreds of figures."""
    thousands = get_format("THOUSAND_SEPARATOR", language)
    point = get_format("DECIMAL_SEPARATOR", language)
    return str.maketrans({",": thousands, ".": point, "-": "−"})


def credits(amount_credits: int) -> str:
    """Return credits, or another whole number, with thousands separators: 1,234,567."""
    return localised(f"{amount_credits:,}")


def compact(amount_credits: int) -> str:
    """Return credits such as 1.2M, rounded down, so that no page promises more than there is."""
    size = next((size for size in STEPS if amount_credits >= size), 1)
    whole, tenth = divmod(amount_credits * 10 // size, 10)
    text = localised(f"{whole:,}.{tenth}" if tenth else f"{whole:,}")
    return _shortened(text, size)


def percent(share: int) -> str:
    """Return a share such as 67%."""
    return pgettext("a share in percent", "{figure}%").format(figure=share)


def _shortened(text: str, size: int) -> str:
    """Put the letter for a power of a thousand behind a figure."""
    forms = {
        1_000_000_000_000: pgettext("trillions, briefly", "{figure}T"),
        1_000_000_000: pgettext("billions, briefly", "{figure}B"),
        MILLION: pgettext("millions, briefly", "{figure}M"),
        1_000: pgettext("thousands, briefly", "{figure}k"),
    }
    return forms.get(size, "{figure}").format(figure=text)


def brief(count: int) -> str:
    """Return a count in words such as 1.6 million, rounded down."""
    if count < MILLION:
        return credits(count // 1_000 * 1_000 if count >= 10_000 else count)
    size = MILLION * 1_000 if count >= MILLION * 1_000 else MILLION
    whole, tenth = divmod(count * 10 // size, 10)
    is_one = whole == 1 and not tenth
    text = localised(f"{whole:,}.{tenth}" if tenth and whole < 10 else f"{whole:,}")
    words = (
        ngettext("{figure} million", "{figure} million", 1 if is_one else 2)
        if size == MILLION
        else ngettext("{figure} billion", "{figure} billion", 1 if is_one else 2)
    )
    return words.format(figure=text)


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
    return localised(f"{Decimal(rate_millicredits).scaleb(-3).normalize():,f}")


def per_million_tokens(rate_millicredits: int) -> int:
    """Return the credits that a million tokens take."""
    return rate_millicredits * MILLION // 1_000


def millicredits(amount_millicredits: int) -> str:
    """Return credits with as many decimal places as they need: 1,180 or 30.5."""
    return localised(f"{Decimal(amount_millicredits).scaleb(-3).normalize():,f}")


def with_symbol(text: str, currency: str) -> str:
    """Put the currency where the reader's language has it, in English before the figure."""
    symbol = SYMBOLS.get(currency)
    # Translators: money, such as $9.00.
    form = pgettext("money", "{symbol}{figure}")
    if not symbol:
        # Translators: money with the code of its currency, such as CHF 9.00.
        form = pgettext("money by code", "{symbol} {figure}")
    return form.format(symbol=symbol or currency.upper(), figure=localised(text))
