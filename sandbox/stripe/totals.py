"""What a session costs: its line items, less a discount, plus the tax of the customer's country.

Discount and tax are worked out per line item and rounded half up, so that the lines add up.
"""

from decimal import ROUND_HALF_UP, Decimal

from sandbox.stripe import currencies
from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.resources import coupons, promotion_codes
from sandbox.stripe.store import JsonObject, Record

# Test rates in percent, by the customer's country; every other country has none.
TAX_PERCENT = {
    "AT": 20, "AU": 10, "BE": 21, "CA": 5, "DE": 19, "ES": 21, "FR": 20, "GB": 20, "IE": 23,
    "IT": 22, "JP": 10, "NL": 21, "PL": 23, "SE": 25,
}  # fmt: skip
UNTAXED = ("BR", "CH", "HK", "IN", "SG", "US")
COUNTRIES = tuple(sorted((*TAX_PERCENT, *UNTAXED)))

_INVALID_CODE = "This code is invalid."


def apply_code(box: Box, session: Record, code: str) -> None:
    """Redeem a promotion code that the customer typed; the last one counts."""
    if not session.body["allow_promotion_codes"]:
        raise InvalidParameter("This Checkout Session takes no promotion codes.", param="code")
    found = promotion_codes.find_code(box, code.strip())
    if found is None:
        raise InvalidParameter(_INVALID_CODE, param="code")
    discount = {"coupon": found.body["promotion"]["coupon"], "promotion_code": found.id}
    _discount(box, session, discount, param="code")


def check_discount(box: Box, session: Record) -> None:
    """Refuse to pay with a discount that has ended since it was applied."""
    discount = session.private.get("discount")
    if discount is None:
        return
    coupon = coupons.get_coupon(box, discount["coupon"])
    if not _is_redeemable(box, session, coupon, discount["promotion_code"]):
        raise InvalidRequest("This code has expired or was used up meanwhile.", param="code")


def remove_code(box: Box, session: Record) -> None:
    session.private["discount"] = None
    recalculate(box, session)


def start_discount(box: Box, session: Record, given: JsonObject) -> None:
    """Apply the discount that the shop gave a session."""
    if code_id := given.get("promotion_code"):
        where = "discounts[0][promotion_code]"
        code = box.get("promotion_code", code_id, param=where, status=400)
        discount = {"coupon": code.body["promotion"]["coupon"], "promotion_code": code_id}
    else:
        where = "discounts[0][coupon]"
        discount = {
            "coupon": coupons.get_coupon(box, given["coupon"], param=where, status=400).id,
            "promotion_code": None,
        }
    _discount(box, session, discount, param=where)


def set_country(box: Box, session: Record, country: str) -> None:
    """Tax a session as the customer's country does."""
    if country not in COUNTRIES:
        raise InvalidParameter("Please choose your country.", param="country")
    session.private["country"] = country
    recalculate(box, session)


def recalculate(box: Box, session: Record) -> None:
    """Work out a session's amounts anew from its items, its discount and its country."""
    items = session.private["line_items"]
    percent = _tax_percent(session)
    for item, off in zip(items, _discounts(box, session), strict=True):
        taxable = item["amount_subtotal"] - off
        is_inclusive = item["price"]["tax_behavior"] == "inclusive"
        tax = _tax(taxable, percent, is_inclusive=is_inclusive)
        item |= {
            "amount_discount": off,
            "amount_tax": tax,
            "amount_total": taxable if is_inclusive else taxable + tax,
        }
    changes = {
        "amount_subtotal": _sum(items, "amount_subtotal"),
        "amount_total": _sum(items, "amount_total"),
        "automatic_tax": _automatic_tax(session),
        "discounts": _shown(session.private.get("discount")),
        "total_details": {
            "amount_discount": _sum(items, "amount_discount"),
            "amount_shipping": 0,
            "amount_tax": _sum(items, "amount_tax"),
        },
    }
    box.change(session, changes)


def _discount(box: Box, session: Record, discount: JsonObject, *, param: str) -> None:
    coupon = coupons.get_coupon(box, discount["coupon"])
    if not _is_redeemable(box, session, coupon, discount["promotion_code"]):
        raise InvalidParameter(_INVALID_CODE, param=param)
    session.private["discount"] = discount
    recalculate(box, session)
    total, currency = session.body["amount_total"], session.body["currency"]
    if 0 < total < currencies.minimum(currency):
        raise InvalidRequest(
            "The Checkout Session's total amount due must add up to at least "
            f"{currencies.written(currencies.minimum(currency), currency)} {currency}",
            code="amount_too_small",
        )


def _is_redeemable(box: Box, session: Record, coupon: Record, code_id: str | None) -> bool:
    currency = session.body["currency"]
    if coupon.body["amount_off"] is not None and (
        coupons.amount_off_in(coupon.body, currency) is None
    ):
        return False
    if code_id is None:
        return bool(coupons.shown(box, coupon)["valid"])
    code = box.get("promotion_code", code_id, param="promotion_code")
    least = promotion_codes.least_in(code.body["restrictions"], currency)
    if least is None or session.body["amount_subtotal"] < least:
        return False
    return promotion_codes.is_redeemable(box, code, customer=session.body["customer"])


def _discounts(box: Box, session: Record) -> list[int]:
    """Return what is taken off each line item."""
    amounts = [item["amount_subtotal"] for item in session.private["line_items"]]
    discount = session.private.get("discount")
    if discount is None:
        return [0] * len(amounts)
    coupon = coupons.get_coupon(box, discount["coupon"]).body
    if coupon["percent_off"] is not None:
        percent = Decimal(str(coupon["percent_off"]))
        return [_rounded(amount * percent / 100) for amount in amounts]
    off = coupons.amount_off_in(coupon, session.body["currency"]) or 0
    return _shared(min(off, sum(amounts)), amounts)


def _shared(off: int, amounts: list[int]) -> list[int]:
    """Share an amount among others in proportion; the shares add up to it."""
    shares, left, rest = [], off, sum(amounts)
    for amount in amounts:
        share = left * amount // rest if rest else 0
        shares.append(share)
        left, rest = left - share, rest - amount
    return shares


def _tax(taxable: int, percent: int, *, is_inclusive: bool) -> int:
    if is_inclusive:
        return taxable - _rounded(Decimal(taxable) * 100 / (100 + percent))
    return _rounded(Decimal(taxable) * percent / 100)


def _tax_percent(session: Record) -> int:
    if not session.body["automatic_tax"]["enabled"]:
        return 0
    return TAX_PERCENT.get(session.private.get("country") or "", 0)


def _automatic_tax(session: Record) -> JsonObject:
    tax = session.body["automatic_tax"]
    if not tax["enabled"]:
        return dict(tax)
    status = "complete" if session.private.get("country") else "requires_location_inputs"
    return {**tax, "status": status}


def _shown(discount: JsonObject | None) -> list[JsonObject]:
    if discount is None:
        return []
    code = discount["promotion_code"]
    return [{"coupon": None if code else discount["coupon"], "promotion_code": code}]


def _sum(items: list[JsonObject], name: str) -> int:
    return sum(int(item[name]) for item in items)


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))
