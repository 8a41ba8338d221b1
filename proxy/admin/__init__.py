"""The desk's pages of providers, their keys and routes, and of how they are doing."""

from proxy.admin import keys, providers, routes

__all__ = ["keys", "providers", "routes"]
