"""What a Checkout Session looks like, and what of its order it only remembers."""

from sandbox.stripe.box import Box
from sandbox.stripe.resources.checkout_rules import checked_expires_at
from sandbox.stripe.resources.customers import get_customer
from sandbox.stripe.resources.shared import EMPTY_ADDRESS, merge_metadata, method_types
from sandbox.stripe.store import JsonObject


def session_asks(box: Box, given: JsonObject) -> JsonObject:
    """Return what the session remembers of its customer's country and tax id."""
    country = tax_id = None
    if "customer" in given:
        customer = get_customer(box, given["customer"])
        country = (customer.body["address"] or {}).get("country")
        tax_id = customer.private.get("tax_id")
    return {
        "known_tax_id": tax_id,
        "asks_tax_id": bool(given.get("tax_id_collection", {}).get("enabled")),
        "country": country,
        "updates": given.get("customer_update", {}),
    }


def _customer_details(box: Box, given: JsonObject) -> JsonObject | None:
    email = given.get("customer_email")
    if "customer" in given:
        email = get_customer(box, given["customer"]).body["email"]
    if email is None:
        return None
    return customer_details(email=email, name=None)


def customer_details(
    *,
    email: str,
    name: str | None,
    country: str | None = None,
    tax_id: JsonObject | None = None,
) -> JsonObject:
    return {
        "address": {**EMPTY_ADDRESS, "country": country} if country else None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [tax_id] if tax_id else None,
    }


def session_body(
    box: Box, given: JsonObject, total: int | None, currency: str | None
) -> JsonObject:
    stamp = box.stamp("checkout.session")
    creation = None if "customer" in given else given.get("customer_creation", "if_required")
    return {
        **stamp,
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": _automatic_tax(given),
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": given.get("customer"),
        "customer_account": None,
        "customer_creation": creation,
        "customer_details": _customer_details(box, given),
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "expires_at": checked_expires_at(box, given),
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": _invoice_creation(given),
        "locale": given.get("locale"),
        "managed_payments": {"enabled": False},
        "metadata": merge_metadata({}, given.get("metadata")),
        "mode": "payment",
        "origin_context": None,
        # Stripe makes the PaymentIntent when the customer first tries to pay.
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": method_types(given, currency),
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": _saving(given),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        **_tax_ids(given),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{box.config.public_url.rstrip('/')}/c/pay/{stamp['id']}",
        "wallet_options": None,
    }


def _automatic_tax(given: JsonObject) -> JsonObject:
    if not given.get("automatic_tax", {}).get("enabled"):
        return {"enabled": False, "liability": None, "provider": None, "status": None}
    return {
        "enabled": True,
        "liability": {"type": "self"},
        "provider": "stripe",
        "status": "requires_location_inputs",
    }


def _tax_ids(given: JsonObject) -> JsonObject:
    """Return the one key that a session has only when it was asked for."""
    if "tax_id_collection" not in given:
        return {}
    enabled = given["tax_id_collection"]["enabled"]
    return {"tax_id_collection": {"enabled": enabled, "required": "never"}}


def _invoice_creation(given: JsonObject) -> JsonObject:
    creation = given.get("invoice_creation", {"enabled": False})
    data = creation.get("invoice_data", {})
    return {
        "enabled": creation["enabled"],
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": data.get("description"),
            "footer": data.get("footer"),
            "issuer": None,
            "metadata": merge_metadata({}, data.get("metadata")),
            "rendering_options": None,
        },
    }


def _saving(given: JsonObject) -> JsonObject | None:
    options = given.get("saved_payment_method_options")
    if options is None:
        return None
    return {
        "allow_redisplay_filters": ["always"],
        "payment_method_remove": "disabled",
        "payment_method_save": options.get("payment_method_save", "disabled"),
    }
