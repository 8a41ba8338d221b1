"""Lists of tables that grow with every request: newest first, and nothing is counted.

Django's own list counts all rows, skips those of earlier pages, adds up the months above it and
searches without an index, which takes seconds where there are millions of rows.
"""

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.desk.filters import Lookups
from accounts.desk.pages import M, ReadOnlyAdmin

NEWEST = 1


class KeysetChangeList(ChangeList):
    """Shows the rows whose ids are below `p`, or the newest without it.

    Django leaves `p` out of the links of filters and searches, so each of those starts anew.
    """

    older_url = ""
    newest_url = ""

    def get_results(self, request: HttpRequest) -> None:
        rows = self.queryset
        if self.page_num > NEWEST:
            rows = rows.filter(pk__lt=self.page_num)
            self.newest_url = self.get_query_string()
        # One row more than the page shows tells whether there is a next page.
        found = list(rows[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        if len(found) > self.list_per_page:
            self.older_url = self.get_query_string({"p": found[self.list_per_page - 1].pk})
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = self.can_show_all = self.multi_page = False
        self.paginator: Paginator[Any] = Paginator(self.result_list, self.list_per_page)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return ["-pk"]


class AgeFilter(admin.SimpleListFilter):
    """Jumps to rows that are so old.

    By the id of the newest of them: ids are given as time passes, and the list is in their order.
    """

    title = "age"
    parameter_name = "older_than_days"
    lookups_of_days = {
        "1": "Older than a day",
        "7": "Older than a week",
        "30": "Older than 30 days",
        "90": "Older than 90 days",
        "365": "Older than a year",
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Lookups:
        self.instant: str = model_admin.instant  # type: ignore[attr-defined]
        return list(self.lookups_of_days.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model] | None:
        if self.value() not in self.lookups_of_days:
            return queryset
        before = {f"{self.instant}__lt": timezone.now() - timedelta(days=int(self.value() or 0))}
        old = queryset.model._default_manager.filter(**before).order_by(f"-{self.instant}")
        newest = old.values_list("pk", flat=True).first()
        return queryset.none() if newest is None else queryset.filter(pk__lte=newest)


class LongListAdmin(ReadOnlyAdmin[M]):
    """A page whose list is long. `instant` is its indexed column of time."""

    change_list_template = "admin/long_list.html"
    instant: ClassVar[str]
    ordering = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList
