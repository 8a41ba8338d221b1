"""The app of money."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Packs, purchases, wallets, the ledger, prices and usage."""

    name = "billing"
