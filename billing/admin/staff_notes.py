"""Notes of staff on customers. They are written on the customer's page."""

from django.contrib import admin

from accounts.desk import columns
from accounts.desk.pages import ReadOnlyAdmin
from billing.models import StaffNote


@admin.register(StaffNote)
class StaffNoteAdmin(ReadOnlyAdmin[StaffNote]):
    list_display = (
        "created_at",
        columns.text("wallet.team", "Customer", name="owner"),
        "text",
        "author",
    )
    list_select_related = ("wallet__team__person", "author")
    fields = ("wallet", "text", "author", "created_at")
    search_fields = ("wallet__team__memberships__user__email",)
