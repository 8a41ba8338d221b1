"""The page that says how upstreams are doing now."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from proxy.services.health_report import HealthUnknown, read_health


def show_health(request: HttpRequest) -> HttpResponse:
    """Show every provider's circuits, keys and last five minutes."""
    if not request.user.has_perm("proxy.view_provider"):
        raise PermissionDenied
    try:
        providers, problem = read_health(), ""
    except HealthUnknown as error:
        providers, problem = [], str(error)
    context = {
        **admin.site.each_context(request),
        "title": "Upstream health",
        "providers": providers,
        "problem": problem,
    }
    return TemplateResponse(request, "admin/proxy/health.html", context)
