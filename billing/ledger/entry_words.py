"""What a customer reads of a ledger entry.

A reason that staff wrote is shown to staff only; one that the shop wrote is for the customer.
"""

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from billing.ledger.references import Code, Revival, Welcome
from billing.models import LedgerEntry

Kind = LedgerEntry.Kind

# Gifts and corrections that the shop makes by itself: their reasons are written for customers.
OWN_ENTRIES = (Code.prefix(), Welcome.prefix(), Revival.prefix())
WORDS = {
    Kind.GRANT: _("Gift"),
    Kind.ADJUSTMENT: _("Correction"),
    Kind.REINSTATEMENT: _("Given back"),
    Kind.EXPIRY: _("Expired"),
}


def describe(entry: LedgerEntry) -> str:
    """Return an entry's words for its customer."""
    kind = Kind(entry.kind)
    is_staffs = kind in WORDS and not entry.reference.startswith(OWN_ENTRIES)
    return gettext(WORDS[kind]) if is_staffs else entry.reason or kind.label.capitalize()
