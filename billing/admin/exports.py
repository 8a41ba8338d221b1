"""Exports: a list of the desk as a file, written by a worker while nobody waits."""

from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path, reverse

from accounts.audit import Said
from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.pages import Tool, desk_page
from accounts.desk.roles import EXPORTS
from accounts.models import User
from billing.exceptions import ExportRefused
from billing.exports.sources import find_source
from billing.exports.writing import may_read, start_export, stop_export, stream_parts
from billing.models import Export
from billing.tasks.exports import nudge_exports

TONES = {
    Export.State.WRITING: "waiting",
    Export.State.READY: "good",
    Export.State.STOPPED: "quiet",
    Export.State.FAILED: "bad",
}


def stop(asked: Asked[Export]) -> str:
    stopped = stop_export(asked.obj)
    return "Stopped, and what was written is deleted." if stopped else "It had ended already."


def why_not_stopped(export: Export) -> str:
    return "" if export.state == Export.State.WRITING else "It has ended."


@admin.register(Export)
class ExportAdmin(ReadOnlyWithActions[Export]):
    """Whoever started an export reads it; others need the right to see exports."""

    list_display = (
        "id",
        "progress",
        "what",
        columns.number("rows_written", "Rows"),
        "created_at",
        "expires_at",
        "asked_by",
        "query",
    )
    fields: ClassVar[Any] = (
        "what",
        "query",
        "asked_by",
        "progress",
        "problem",
        columns.number("rows_written", "Rows"),
        columns.number("kept_bytes", "Bytes kept"),
        "created_at",
        "ended_at",
        "expires_at",
    )
    list_select_related = ("asked_by",)
    sortable_by = ("id",)
    list_filter = ("state",)
    staff_actions = (
        StaffAction(
            "stop",
            "Stop",
            "It is written no further, and what there is of it is deleted.",
            stop,
            refusal=why_not_stopped,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        found = super().get_queryset(request)
        if request.user.has_perm("billing.view_export"):
            return found
        return found.filter(asked_by=request.user.pk)

    def get_tools(self, request: HttpRequest, obj: Export) -> list[Tool]:
        tools = list(super().get_tools(request, obj))
        if obj.state == Export.State.READY and may_read(cast(User, request.user), obj):
            url = reverse("admin:billing_export_file", args=[obj.pk])
            tools.insert(0, Tool("Download as CSV", url))
        return tools

    @admin.display(description="What", ordering="table")
    def what(self, export: Export) -> str:
        source = find_source(export.table)
        # A release may know it no more.
        return export.table if source is None else source.title

    @admin.display(description="State", ordering="state")
    def progress(self, export: Export) -> str:
        words = export.get_state_display()
        if export.state == Export.State.WRITING:
            words = f"{words}, {export.percent} %"
        return columns.state(words, TONES[Export.State(export.state)])

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("start/", view(self.start_view), name="billing_export_start"),
            path("<int:export_id>/file/", view(self.file_view), name="billing_export_file"),
            *super().get_urls(),
        ]

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Say what would be exported (GET), note it for a worker (POST)."""
        user = cast(User, request.user)
        source = find_source(request.GET.get("table", ""))
        if not user.has_perm(EXPORTS) or source is None:
            raise PermissionDenied
        if not user.has_perms(rights := source.rights_for(user)):
            raise PermissionDenied
        try:
            query = source.clean(request.GET.get("query", ""))
            source.read(query, user, rights)
        except IncorrectLookupParameters:
            raise Http404("The list has no such filters.") from None
        if request.method == "POST":
            try:
                return self._start(request, user, source.name, query)
            except ExportRefused as error:
                self.message_user(request, str(error), messages.ERROR)
        return desk_page(
            request,
            "admin/billing/start_export.html",
            title="Export as CSV",
            opts=self.opts,
            what=source.title,
            query=query,
            back=source.page_url(query),
        )

    def _start(self, request: HttpRequest, user: User, table: str, query: str) -> HttpResponse:
        with transaction.atomic():
            export = start_export(user, table, query)
            said = Said(words=f"Of {table}, by {query or 'no filter'}.")
            self.record(request, export, "Export started", said)
        nudge_exports()
        self.message_user(request, "A worker writes it. You get a mail when it is ready.")
        return HttpResponseRedirect(reverse("admin:billing_export_change", args=[export.pk]))

    def file_view(self, request: HttpRequest, export_id: int) -> HttpResponseBase:
        """Answer with the file, and write down who took it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_queryset(request).filter(pk=export_id, state=Export.State.READY).first()
        if export is None:
            raise Http404("There is no such file.")
        if not may_read(cast(User, request.user), export):
            raise PermissionDenied
        self.record(request, export, "Export downloaded", f"{export.rows_written:,} rows.")
        answer = StreamingHttpResponse(
            stream_parts(export.pk), content_type="text/csv; charset=utf-8"
        )
        name = f"{export.table.replace('.', '-')}-{export.pk}.csv"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer
