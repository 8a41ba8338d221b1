"""What the groups of margins are called."""

from collections.abc import Iterable
from typing import Any

from django.urls import reverse

from accounts.models import ApiKey
from billing.margin.own import OWN_GROUPS
from billing.margin.reads import Margin
from billing.models import Wallet

TITLES = {
    "day": "Day",
    "model": "Model",
    "provider": "Provider",
    "customer": "Customer",
    "key": "API key",
}


def name_groups(by: str, rows: Iterable[Margin]) -> dict[Any, tuple[str, str]]:
    """Return what each group is called, and the page about it."""
    groups = [row.group for row in rows]
    if by == "customer":
        wallets = Wallet.objects.select_related("team__person").in_bulk(groups)
        return {pk: (str(each.team), _page("billing_wallet", pk)) for pk, each in wallets.items()}
    if by == "key":
        keys = ApiKey.objects.select_related("team__person").in_bulk(groups)
        return {
            pk: (f"{each.name} ({each.hint}) of {each.team}", _page("accounts_apikey", pk))
            for pk, each in keys.items()
        }
    return {group: (f"{group:%Y-%m-%d}" if by == "day" else group or "–", "") for group in groups}


def name_own(by: str, rows: Iterable[Margin]) -> list[tuple[str, Margin]]:
    """Return what the sums of our own requests are called, each with its sum."""
    rows = list(rows)
    names = name_groups(by, rows) if by in OWN_GROUPS else {}
    return [
        (f"Our probes: {names[row.group][0]}" if row.group in names else "Our probes", row)
        for row in rows
    ]


def _page(name: str, pk: int) -> str:
    return reverse(f"admin:{name}_change", args=[pk])
