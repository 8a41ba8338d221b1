"""What Checkout refuses although the types allow it, and what this emulator can't do yet."""

from sandbox.stripe import currencies
from sandbox.stripe.box import Box
from sandbox.stripe.config import is_absolute_url
from sandbox.stripe.errors import InvalidParameter
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources.customers import check_email, get_customer
from sandbox.stripe.resources.shared import checked_currency
from sandbox.stripe.store import JsonObject

# https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at
_MIN_LIFE_S = 30 * 60
_MAX_LIFE_S = 24 * 60 * 60

EMULATED = frozenset(
    {
        "allow_promotion_codes",
        "automatic_tax[enabled]",
        "billing_address_collection",
        "cancel_url",
        "client_reference_id",
        "currency",
        "customer",
        "customer_creation",
        "customer_email",
        "customer_update[address]",
        "customer_update[name]",
        "discounts[][coupon]",
        "discounts[][promotion_code]",
        "expand",
        "expires_at",
        "invoice_creation[enabled]",
        "invoice_creation[invoice_data][description]",
        "invoice_creation[invoice_data][footer]",
        "invoice_creation[invoice_data][metadata]",
        "line_items[][metadata]",
        "line_items[][price]",
        "line_items[][price_data][currency]",
        "line_items[][price_data][product_data][description]",
        "line_items[][price_data][product_data][images]",
        "line_items[][price_data][product_data][metadata]",
        "line_items[][price_data][product_data][name]",
        "line_items[][price_data][product_data][unit_label]",
        "line_items[][price_data][tax_behavior]",
        "line_items[][price_data][unit_amount]",
        "line_items[][quantity]",
        "locale",
        "metadata",
        "mode",
        "payment_intent_data[description]",
        "payment_intent_data[metadata]",
        "payment_intent_data[receipt_email]",
        "payment_intent_data[setup_future_usage]",
        "payment_intent_data[statement_descriptor]",
        "payment_intent_data[statement_descriptor_suffix]",
        "allowed_payment_method_types[]",
        "saved_payment_method_options[payment_method_save]",
        "setup_intent_data[description]",
        "setup_intent_data[metadata]",
        "submit_type",
        "success_url",
        "tax_id_collection[enabled]",
        "ui_mode",
    }
)


def check(box: Box, given: JsonObject) -> None:
    """Refuse what the types allow and Checkout does not."""
    refuse_empty(given)
    _check_mode(given)
    if given.get("ui_mode", "hosted_page") != "hosted_page":
        raise InvalidParameter(
            "The sandbox emulates `ui_mode=hosted_page` only.",
            code="parameter_not_emulated",
            param="ui_mode",
        )
    if "success_url" not in given:
        raise _missing("success_url")
    for name in ("success_url", "cancel_url"):
        _check_url(given, name)
    if len(given.get("client_reference_id", "")) > 200:
        raise InvalidParameter(
            "Invalid string: must be at most 200 characters", param="client_reference_id"
        )
    check_email(given.get("customer_email", ""), "customer_email")
    _check_customer(box, given)
    _check_saving(given)
    _check_discounts(given)
    _check_updates(box, given)


# What belongs to the other mode than the key's.
_FOREIGN = {
    "payment": ("setup_intent_data",),
    "setup": (
        "line_items",
        "allow_promotion_codes",
        "automatic_tax",
        "discounts",
        "invoice_creation",
        "payment_intent_data",
        "saved_payment_method_options",
        "submit_type",
    ),
}


def _check_mode(given: JsonObject) -> None:
    if "mode" not in given:
        raise _missing("mode")
    mode = given["mode"]
    if mode not in _FOREIGN:
        raise InvalidParameter(
            "The sandbox emulates `mode=payment` and `mode=setup` only.",
            code="parameter_not_emulated",
            param="mode",
        )
    for name in _FOREIGN[mode]:
        if name in given:
            raise InvalidParameter(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    # Without a currency Stripe can't tell which of the dashboard's methods to show.
    needed = ("currency", "allowed_payment_method_types") if mode == "setup" else ("line_items",)
    if not any(name in given for name in needed):
        raise _missing(needed[0])
    if mode == "setup" and "currency" in given:
        given["currency"] = checked_currency(given["currency"])


def _missing(param: str) -> InvalidParameter:
    return InvalidParameter(
        f"Missing required param: {param}.", code="parameter_missing", param=param
    )


def _check_url(given: JsonObject, name: str) -> None:
    # Stripe takes its own placeholder as it stands, braces and all.
    url = given.get(name, "https://example.com").replace("{CHECKOUT_SESSION_ID}", "cs_test")
    if not is_absolute_url(url):
        raise InvalidParameter("Not a valid URL", code="url_invalid", param=name)


def _check_customer(box: Box, given: JsonObject) -> None:
    if "customer" not in given:
        return
    for other in ("customer_email", "customer_creation"):
        if other in given:
            raise InvalidParameter(
                f"You may only specify one of these parameters: customer, {other}.",
                param=other,
            )
    get_customer(box, given["customer"])


def _check_saving(given: JsonObject) -> None:
    keeps = given.get("saved_payment_method_options", {}).get("payment_method_save") == "enabled"
    has_customer = "customer" in given or given.get("customer_creation") == "always"
    if keeps and not has_customer:
        raise InvalidParameter(
            "`saved_payment_method_options[payment_method_save]` can only be used with a Customer: "
            "pass `customer` or `customer_creation=always`.",
            param="saved_payment_method_options[payment_method_save]",
        )


def checked_total(given: JsonObject, items: list[JsonObject]) -> int:
    currency = items[0]["currency"]
    if str(given.get("currency", currency)).lower() != currency:
        raise InvalidParameter(
            "The `currency` must be that of the line items' prices.", param="currency"
        )
    total = sum(int(item["amount_total"]) for item in items)
    least = currencies.minimum(currency)
    if total < least:
        raise InvalidParameter(
            "The Checkout Session's total amount due must add up to at least "
            f"{currencies.written(least, currency)} {currency}",
            code="amount_too_small",
        )
    if total > currencies.MAXIMUM:
        raise InvalidParameter(
            "The Checkout Session's total amount due must be no more than "
            f"{currencies.written(currencies.MAXIMUM, currency)} {currency}",
            code="amount_too_large",
        )
    return total


def checked_expires_at(box: Box, given: JsonObject) -> int:
    now = box.clock.now()
    expires_at = int(given.get("expires_at", now + _MAX_LIFE_S))
    if expires_at < now + _MIN_LIFE_S:
        raise InvalidParameter(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            param="expires_at",
        )
    if expires_at > now + _MAX_LIFE_S:
        raise InvalidParameter(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return expires_at


def _check_discounts(given: JsonObject) -> None:
    discounts = given.get("discounts", [])
    if not discounts:
        return
    if "allow_promotion_codes" in given:
        raise InvalidParameter(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            param="discounts",
        )
    if len(discounts) > 1 or len(discounts[0]) != 1:
        raise InvalidParameter(
            "`discounts` takes one discount, of either `coupon` or `promotion_code`.",
            param="discounts",
        )


def _check_updates(box: Box, given: JsonObject) -> None:
    """Refuse to ask a known customer for what the session may not write to that customer."""
    updates = given.get("customer_update", {})
    if "customer" not in given:
        if updates:
            raise InvalidParameter(
                "`customer_update` can only be used with `customer`.", param="customer_update"
            )
        return
    asks_tax = given.get("automatic_tax", {}).get("enabled")
    address = get_customer(box, given["customer"]).body["address"] or {}
    if asks_tax and not address.get("country") and updates.get("address") != "auto":
        raise InvalidParameter(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add "
            "a valid address to the Customer or set either `customer_update[address]` to 'auto' "
            "or `customer_update[shipping]` to 'auto' to save the address entered in Checkout to "
            "the Customer.",
            code="customer_tax_location_invalid",
        )
    asks_tax_id = given.get("tax_id_collection", {}).get("enabled")
    if asks_tax_id and updates.get("name") != "auto":
        raise InvalidParameter(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`."
        )
