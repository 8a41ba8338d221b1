"""The system check of prices. `manage.py migrate` and `check --database default` run it."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connection

from billing.catalogue.pack_prices import list_below_minimum, list_unproven
from common.currencies import UNPROVEN_REASON


@register(Tags.database)
def check_currencies(
    app_configs: Sequence[AppConfig] | None,
    *,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Warn of stored prices that can't be sold."""
    # `migrate` runs the checks before it creates the first table, too.
    if not databases or "billing_packprice" not in connection.introspection.table_names():
        return []
    unproven = [
        Warning(
            f"{name} is not sold. {UNPROVEN_REASON}",
            hint="Take the pack off sale or delete the price, at the desk.",
            id="billing.W001",
        )
        for name in list_unproven()
    ]
    too_low = [
        Warning(
            f"{name} costs less than Stripe charges, so nobody can buy it.",
            hint="Raise the price, at the desk.",
            id="billing.W002",
        )
        for name in list_below_minimum()
    ]
    return [*unproven, *too_low]
