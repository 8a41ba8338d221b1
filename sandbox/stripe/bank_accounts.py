"""Bank accounts of ACH Direct Debit: a payment takes days, and is `processing` meanwhile.

https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test-account-numbers
"""

import hashlib
from dataclasses import dataclass

from sandbox.stripe.cards import Decline
from sandbox.stripe.store import JsonObject

PAYS = "000123456789"
_BANK = {
    "account_holder_type": "individual",
    "account_type": "checking",
    "bank_name": "STRIPE TEST BANK",
    "routing_number": "110000000",
}
# What the bank says in the end of an account without a failure of its own.
RETURNED = Decline(
    "payment_intent_payment_attempt_failed",
    "debit_not_authorized",
    "The customer's bank account could not be debited.",
)


@dataclass(frozen=True, kw_only=True)
class BankAccount:
    number: str
    name: str | None = None

    @property
    def type(self) -> str:
        return "us_bank_account"

    @property
    def is_slow(self) -> bool:
        return True

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"sandbox:bank:{self.number}".encode()).hexdigest()[:16]

    def decline(self) -> Decline | None:
        """Return why a debit is refused at once: never, a bank takes its time."""
        return None

    def refuses_setup(self) -> Decline | None:
        return None

    def needs_authentication(self, *, off_session: bool, is_set_up: bool) -> bool:
        """Return False: the mandate was given with the account."""
        return False

    def shown(self) -> JsonObject:
        return {**_BANK, "fingerprint": self.fingerprint, "last4": self.last4}
