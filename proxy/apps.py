"""The app of the /v1 API."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """Providers, routes and the API itself."""

    name = "proxy"
