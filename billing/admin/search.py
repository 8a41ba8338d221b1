"""Searching long tables by what has an index: a name in full, or how an address begins."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.desk.pages import FEW, find_people
from billing.models import Wallet


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
    people = find_people(term)
    if len(people) > FEW:
        text = f"Only the first {FEW} customers whose address begins so are searched."
        page.message_user(request, text, messages.WARNING)
    wallets = list(
        Wallet.objects.filter(team__memberships__user__in=people[:FEW]).values_list("pk", flat=True)
    )
    return queryset.filter(wallet__in=wallets) if wallets else queryset.none()
