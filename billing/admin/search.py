"""Searching long tables by what has an index: a name in full, or how an address begins."""

from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.desk.pages import FEW, DeskAdmin, M, find_people
from billing.desk.search import named
from billing.models import Wallet


class ExactSearch(DeskAdmin[M]):
    """A list that is searched by what names a row exactly, or by how its owner's address begins.

    Both have indexes; a text that may stand anywhere in a column has none.
    """

    # The path to the people whose rows they are.
    whose: ClassVar[str] = ""
    search_help_text = "An id in full, or how a customer's e-mail address begins."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if ids := named(self.model, term):
            return queryset.filter(pk__in=ids), False
        people = find_people(term)[:FEW] if self.whose else []
        found = queryset.filter(**{f"{self.whose}__in": people}) if people else queryset.none()
        # Several of them may be in one team.
        return found, bool(people)


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
