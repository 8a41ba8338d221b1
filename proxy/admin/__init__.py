"""The desk's pages of providers, their keys and routes, how they are doing, and incidents."""

from proxy.admin import incidents, keys, providers, routes

__all__ = ["incidents", "keys", "providers", "routes"]
