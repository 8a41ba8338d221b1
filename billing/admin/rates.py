"""The rates by which staff compare currencies."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from accounts.desk.pages import DeskAdmin
from accounts.models import User
from billing.models import ExchangeRate


@admin.register(ExchangeRate)
class ExchangeRateAdmin(DeskAdmin[ExchangeRate]):
    """Staff set a rate for a day, and may correct it: nothing that is booked depends on it."""

    list_display = ("currency", "day", "rate", "set_by", "created_at")
    list_select_related = ("set_by",)
    list_filter = ("currency",)
    fields = ("currency", "day", "rate")

    def save_model(
        self, request: HttpRequest, obj: ExchangeRate, form: ModelForm[Any], change: bool
    ) -> None:
        assert isinstance(request.user, User)  # noqa: S101  # the desk lets nobody else in
        obj.set_by = request.user
        super().save_model(request, obj, form, change)

    def has_delete_permission(self, request: HttpRequest, obj: ExchangeRate | None = None) -> bool:
        return False
