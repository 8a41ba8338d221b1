"""The app about people and API keys."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users and their API keys."""

    name = "accounts"
