"""The staff pages on the health of upstreams and on the margin they bring."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from accounts.desk.pages import desk_page
from proxy.errors import HealthUnknown
from proxy.upstreams.providers.health_report import read_health
from proxy.upstreams.providers.margin import CURRENCY, average_credit_price, read_margins

# Days.
PERIODS = ("7", "1", "30", "90")


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


def show_margin(request: HttpRequest) -> HttpResponse:
    """Show what requests brought in and cost in the last days."""
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    asked = request.GET.get("days", "")
    days = int(asked) if asked in PERIODS else int(PERIODS[0])
    return desk_page(
        request,
        "admin/proxy/margin.html",
        title="Margin",
        days=days,
        periods=PERIODS,
        currency=CURRENCY.upper(),
        credit_price=average_credit_price() * 1_000_000,
        margins=read_margins(days=days),
    )
