"""The app of money."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Packs, orders, wallets, the ledger, prices and usage."""

    name = "billing"

    def ready(self) -> None:
        """Register the checks of the settings."""
        from billing.stripe_api import checks  # noqa: F401 - importing it registers them
