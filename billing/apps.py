"""The app about money."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Packs, orders, wallets, the ledger, prices and usage."""

    name = "billing"

    def ready(self) -> None:
        """Register the checks of the settings and of prices by importing them."""
        from billing.catalogue import checks as _prices  # noqa: F401
        from billing.stripe_api import checks as _settings  # noqa: F401
