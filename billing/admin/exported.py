"""Lists that can be exported: whoever may start an export finds a link to it above the list."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from accounts.desk.pages import DeskAdmin, M
from billing.exports.rows import clean_query, rights_for

STARTS = "billing.add_export"


class Exported(DeskAdmin[M]):
    """A list that can be exported. Its template shows the link (`admin/_export_link.html`)."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user: Any = request.user
        context = dict(extra_context or {})
        if user.has_perm(STARTS) and user.has_perms(rights_for(self.model, user)):
            asked = {
                "table": self.opts.label_lower,
                "query": clean_query(request.GET.urlencode()),
            }
            context["export_url"] = f"{reverse('admin:billing_export_start')}?{urlencode(asked)}"
        return super().changelist_view(request, context)
