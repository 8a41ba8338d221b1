"""Usage and receipts."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.teams.roles import Deed
from accounts.time_zones import zone_of
from billing.ledger.receipts import explain
from billing.ledger.usage import (
    MOST_ADDED_UP,
    add_up_one_by_one,
    read_usage_page,
    records_of,
)
from billing.ledger.usage_charts import Figure, draw
from billing.ledger.wallets import get_wallet
from billing.rollups.detail import gone_before
from billing.statements.usage_file import stream_usage
from billing.views.requests import CustomerRequest, member_only
from billing.views.usage_forms import UsageForm
from common.attempts import count_attempt

MOST_FILES_PER_HOUR = 30


@member_only(Deed.SEE_OWN_USAGE)
@require_safe
def usage(request: CustomerRequest) -> HttpResponse:
    """Draw and list what was used. An invalid filter shows nothing and says why."""
    form = UsageForm(request.seat, zone_of(request), request.GET)
    is_valid = form.is_valid()
    context = {"form": form, **(_read(request, form) if is_valid else {})}
    template = "dashboard/_usage.html" if request.htmx else "dashboard/usage.html"
    return render(request, template, context, status=200 if is_valid or request.htmx else 400)


@member_only(Deed.SEE_OWN_USAGE)
@require_safe
def usage_file(request: CustomerRequest) -> HttpResponseBase:
    """Download the requests as CSV, chosen as on the page."""
    form = UsageForm(request.seat, zone_of(request), request.GET)
    if not form.is_valid():
        return HttpResponse(
            gettext("That filter isn't valid."), status=400, content_type="text/plain"
        )
    if count_attempt(f"usage:{request.user.pk}") > MOST_FILES_PER_HOUR:
        return render(request, "429.html", {"wait": "an hour"}, status=429)
    rows = stream_usage(get_wallet(request.team), form.chosen(form.period_chosen))
    answer = StreamingHttpResponse(rows, content_type="text/csv")
    answer["Content-Disposition"] = 'attachment; filename="usage.csv"'
    return answer


@member_only(Deed.SEE_OWN_USAGE)
@require_safe
def receipt(request: CustomerRequest, request_id: str) -> HttpResponse:
    """Explain one charge."""
    record = get_object_or_404(
        records_of(request.seat).select_related("api_key", "price"),
        request_id=request_id,
    )
    return render(request, "dashboard/receipt.html", {"receipt": explain(record)})


def _read(request: CustomerRequest, form: UsageForm) -> dict[str, Any]:
    """Return what a valid form asks for: the chart, a page of the list, and their sums."""
    wallet, given = get_wallet(request.team), form.cleaned_data
    period = form.period_chosen
    chosen = form.chosen(period)
    figure = Figure(given["figure"] or Figure.CREDITS)
    chart = draw(wallet, period, chosen, by=given["by"], figure=figure)
    page = read_usage_page(wallet, chosen, before=given["before"])
    return {
        "chart": chart,
        "zone": form.zone,
        "gone_before": gone_before(period.starts_at),
        "records": page.records,
        "is_of_chart": chosen.is_of_roll_ups,
        "sums": chart.used if chosen.is_of_roll_ups else add_up_one_by_one(wallet, chosen),
        "most_added_up": MOST_ADDED_UP,
        "query": _query(form),
        "newest_url": _query(form) if given["before"] else "",
        "next_url": _query(form, page.next_before) if page.next_before else "",
    }


def _query(form: UsageForm, before: int | None = None) -> str:
    values = {name: form.data.get(name) for name in form.fields} | {"before": before}
    return "?" + urlencode({name: value for name, value in values.items() if value})
