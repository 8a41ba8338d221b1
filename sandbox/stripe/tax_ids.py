"""Tax ids that a customer types on the Checkout page: their kind goes by the country."""

import re

from sandbox.stripe.errors import InvalidParameter
from sandbox.stripe.store import JsonObject

_EU = frozenset({"AT", "BE", "DE", "ES", "FR", "IE", "IT", "NL", "PL", "SE"})
_KINDS = {"AU": "au_abn", "CA": "ca_bn", "CH": "ch_vat", "GB": "gb_vat", "US": "us_ein"}


def read_tax_id(text: str, country: str | None) -> JsonObject | None:
    """Return a tax id as the API shows it; None for empty text. Only its form is checked."""
    value = re.sub(r"[ .]", "", text).upper()
    if not value:
        return None
    kind = "eu_vat" if country in _EU else _KINDS.get(country or "")
    has_form = re.fullmatch(r"[A-Z0-9-]{5,20}", value)
    has_prefix = kind != "eu_vat" or value.startswith(country or "")
    if kind is None or not has_form or not has_prefix:
        raise InvalidParameter("Your tax ID is invalid.", code="tax_id_invalid", param="tax_id")
    return {"type": kind, "value": value}
