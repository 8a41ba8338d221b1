"""The staff page on the health of upstreams."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from accounts.desk.pages import desk_page
from proxy.errors import HealthUnknown
from proxy.upstreams.providers.health_report import read_health


def show_health(request: HttpRequest) -> HttpResponse:
    """Show every provider's circuits, keys and last five minutes."""
    if not request.user.has_perm("proxy.view_provider"):
        raise PermissionDenied
    try:
        providers, problem = read_health(), ""
    except HealthUnknown as error:
        providers, problem = [], str(error)
    return desk_page(
        request,
        "admin/proxy/health.html",
        title="Upstream health",
        providers=providers,
        problem=problem,
    )
