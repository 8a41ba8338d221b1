"""What `manage.py check` says of how the site is reached. `migrate` says it too."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register()
def check_trusted_proxies(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Tell of an https site that no proxy may speak for: its pages redirect to themselves."""
    if settings.TRUSTED_PROXIES or not settings.IS_HTTPS:
        return []
    return [
        Warning(
            "SITE_URL is https, but TRUSTED_PROXIES is empty: no X-Forwarded-Proto is believed, "
            "and every page redirects to https.",
            hint="Name the reverse proxy that ends TLS, unless the web process does so itself.",
            id="tokenproxy_site.W001",
        )
    ]


@register()
def check_mail(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Tell of an https site whose mails go to the log, where their links can be used."""
    if not settings.IS_HTTPS or not settings.EMAIL_URL.startswith("consolemail:"):
        return []
    return [
        Warning(
            "SITE_URL is https, but EMAIL_URL names no mail server: mails are written to the log, "
            "and with them the links that set a new password.",
            hint="Set EMAIL_URL, such as smtp+tls://user:password@host:587.",
            id="tokenproxy_site.W002",
        )
    ]
