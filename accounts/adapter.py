"""How allauth behaves on this site."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Stores e-mail addresses in lower case, so that one person has one account."""

    def clean_email(self, email: str) -> Any:
        """Return the address as it is stored and compared."""
        return super().clean_email(email).lower()
