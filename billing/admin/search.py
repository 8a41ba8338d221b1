"""Searching long tables by what has an index: a name in full, or how an address begins."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.models import Wallet

# A customer's rows are found by an index; for more customers at once they would have to be sorted.
MOST_CUSTOMERS = 10


def search_rows(
    page: ModelAdmin[Any],
    request: HttpRequest,
    queryset: QuerySet[Any],
    term: str,
    **named: object,
) -> QuerySet[Any]:
    """Return the row that is `named` so, else those of customers whose address begins with `term`.

    Tells whoever asked if there are more customers than are looked at.
    """
    exact = queryset.model._default_manager.filter(**named).values_list("pk", flat=True)[:2]
    if pks := list(exact):
        return queryset.filter(pk__in=pks)
    wallets = Wallet.objects.filter(user__email__startswith=term.lower()).order_by("user__email")
    found = list(wallets.values_list("pk", flat=True)[: MOST_CUSTOMERS + 1])
    if len(found) > MOST_CUSTOMERS:
        text = f"Only the first {MOST_CUSTOMERS} customers whose address begins so are searched."
        page.message_user(request, text, messages.WARNING)
    return queryset.filter(wallet__in=found[:MOST_CUSTOMERS]) if found else queryset.none()
