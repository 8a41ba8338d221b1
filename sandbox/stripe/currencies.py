"""Currencies: which are known, how small a charge may be, how an amount is written.

Amounts are integers of the smallest unit. Minimums: https://docs.stripe.com/currencies
"""

from decimal import Decimal

# Written as prose: a quoted list of 150 codes is no easier to read.
_ZERO_DECIMAL_TEXT = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_KNOWN_TEXT = """
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bmd bnd bob brl bsd bwp byn
    bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd
    hnl htg huf idr ils inr isk jmd jod kes kgs khr kwd kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk
    mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln qar ron rsd
    rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah uyu uzs wst
    xcd xcg yer zar zmw"""
_ZERO_DECIMAL = frozenset(_ZERO_DECIMAL_TEXT.split())
_THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
_KNOWN = _ZERO_DECIMAL | frozenset(_KNOWN_TEXT.split())
# Stripe's page contradicts itself: it is among #zero-decimal, and under #special-cases a currency
# of two decimal places. An emulator that took a side would prove whoever took the same one right.
_UNPROVEN = frozenset(("ugx",))

_MINIMUMS = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000,
    "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}

MAXIMUM = 99_999_999


def is_known(currency: str) -> bool:
    return currency in _KNOWN


def is_unproven(currency: str) -> bool:
    return currency in _UNPROVEN


def minimum(currency: str) -> int:
    """Return the smallest charge; where Stripe names none, that of the dollar."""
    return _MINIMUMS.get(currency, 50)


def step(currency: str) -> int:
    """Return what amounts must be divisible by: whole króna, and thousandths in tens.

    https://docs.stripe.com/currencies#three-decimal and #special-cases
    """
    return 100 if currency == "isk" else 10 if currency in _THREE_DECIMAL else 1


def written(amount: int, currency: str) -> str:
    """Return `$12.50`, or `12.50 SEK` where no symbol is certain."""
    places = 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2
    number = f"{Decimal(amount).scaleb(-places):,.{places}f}"
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{number} {currency.upper()}"
