"""Usage and receipts."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.teams.roles import Deed
from billing.ledger.receipts import explain
from billing.ledger.usage import UsagePage, maker_seen_by, read_usage_page, records_of
from billing.ledger.wallets import get_wallet
from billing.views.forms import UsageFilterForm
from billing.views.requests import CustomerRequest, member_only

FILTERS = ("key", "model", "member")


@member_only(Deed.SEE_OWN_USAGE)
@require_safe
def usage(request: CustomerRequest) -> HttpResponse:
    """List what was used, newest first. An invalid filter shows nothing and says why."""
    form = UsageFilterForm(request.seat, request.GET)
    is_valid = form.is_valid()
    page = _read_page(request, form) if is_valid else UsagePage([], None)
    context = {
        "form": form,
        "records": page.records,
        "is_filtered": any(form.data.get(name) for name in FILTERS),
        "newest_url": _page_url(form, None) if form.data.get("before") else "",
        "next_url": _page_url(form, page.next_before) if page.next_before else "",
    }
    template = "dashboard/_usage.html" if request.htmx else "dashboard/usage.html"
    return render(request, template, context, status=200 if is_valid or request.htmx else 400)


@member_only(Deed.SEE_OWN_USAGE)
@require_safe
def receipt(request: CustomerRequest, request_id: str) -> HttpResponse:
    """Explain one charge."""
    record = get_object_or_404(
        records_of(request.seat).select_related("api_key", "price"),
        request_id=request_id,
    )
    return render(request, "dashboard/receipt.html", {"receipt": explain(record)})


def _read_page(request: CustomerRequest, form: UsageFilterForm) -> UsagePage:
    return read_usage_page(
        get_wallet(request.team),
        made_by=form.cleaned_data.get("member") or maker_seen_by(request.seat),
        before=form.cleaned_data["before"],
        api_key=form.cleaned_data["key"],
        model_name=form.cleaned_data["model"],
    )


def _page_url(form: UsageFilterForm, before: int | None) -> str:
    values = {name: form.data.get(name) for name in FILTERS} | {"before": before}
    return "?" + urlencode({name: value for name, value in values.items() if value})
