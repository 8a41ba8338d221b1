"""The system check of Stripe's settings. `runserver` and `migrate` run it, too."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@register()
def check_stripe_address(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Refuse a live key for another host than Stripe, and plain HTTP to another machine."""
    base = urlsplit(settings.STRIPE_API_BASE)
    if not settings.STRIPE_API_BASE or base.hostname == "api.stripe.com":
        return []
    if settings.STRIPE_LIVE_MODE:
        return [
            Error(
                "STRIPE_API_BASE is set together with a live STRIPE_SECRET_KEY.",
                hint="Unset STRIPE_API_BASE: a live key belongs to Stripe alone.",
                id="billing.E001",
            )
        ]
    if base.scheme != "https" and base.hostname not in LOOPBACK:
        return [
            Error(
                "STRIPE_API_BASE sends STRIPE_SECRET_KEY over plain HTTP to another machine.",
                hint="Use https, or an emulator on this machine.",
                id="billing.E002",
            )
        ]
    return []
