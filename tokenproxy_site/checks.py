"""Checks of `manage.py check` about how the site is reached, and of `migrate` about its history."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

# The migrations of 0.1 were replaced by one set for each app. A database to which the last of them
# was applied equals what that set makes; Django would accept an earlier database too.
LAST_REPLACED = {
    "accounts": "0002_key_limits",
    "billing": "0013_orders",
    "proxy": "0004_keys_know_their_host",
}


@register()
def check_trusted_proxies(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn about an https site without trusted proxies: its pages redirect to themselves."""
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


@register(Tags.database)
def check_history(
    app_configs: Sequence[AppConfig] | None,
    *,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Refuse to migrate a database of 0.1 that lacks some of its migrations."""
    if not databases or not MigrationRecorder(connection).has_table():
        return []
    loader = MigrationLoader(connection)
    return [
        Error(
            f"This database is older than the present set of migrations: {app} lacks {last}.",
            hint="Run `manage.py migrate` at the last commit that has it, and then here: "
            f"git log -1 --diff-filter=D --format=%h^ -- {app}/migrations/{last}.py. "
            "If nothing in the database is worth keeping, begin anew; locally `make clean` does.",
            id="tokenproxy_site.E001",
        )
        for app, last in LAST_REPLACED.items()
        if _is_behind(loader, app, last)
    ]


def _is_behind(loader: MigrationLoader, app: str, last: str) -> bool:
    applied = {name for label, name in loader.applied_migrations or () if label == app}
    replaced = {name for name in applied if (app, name) not in loader.disk_migrations}
    return bool(replaced) and last not in replaced


@register()
def check_mail(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn about an https site whose mails go to the log, where their links can be used."""
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
