"""What a customer reads of a ledger entry.

A reason that staff wrote is shown to staff only; one that the shop wrote is for the customer.
"""

from billing.ledger.references import Code, Revival, Welcome
from billing.models import LedgerEntry

Kind = LedgerEntry.Kind

# Gifts and corrections that the shop makes by itself: their reasons are written for customers.
OWN_ENTRIES = (Code.prefix(), Welcome.prefix(), Revival.prefix())
WORDS = {
    Kind.GRANT: "Gift",
    Kind.ADJUSTMENT: "Correction",
    Kind.REINSTATEMENT: "Given back",
    Kind.EXPIRY: "Expired",
}


def describe(entry: LedgerEntry) -> str:
    """Return an entry's words for its customer."""
    kind = Kind(entry.kind)
    is_staffs = kind in WORDS and not entry.reference.startswith(OWN_ENTRIES)
    return WORDS[kind] if is_staffs else entry.reason or kind.label.capitalize()
