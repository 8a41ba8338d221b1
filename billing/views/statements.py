"""Monthly statements: the list, and each as a PDF or a table."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.teams.roles import Deed
from billing.ledger.wallets import get_wallet
from billing.statements.files import find_file
from billing.statements.month import list_months
from billing.views.requests import CustomerRequest, member_only
from common.downloads import as_download


@member_only(Deed.SEE_ORDERS)
@require_safe
def statements(request: CustomerRequest) -> HttpResponse:
    """List the months, newest first."""
    months = list_months(get_wallet(request.team))
    return render(request, "dashboard/statements.html", {"months": months})


@member_only(Deed.SEE_ORDERS)
@require_safe
def statement(request: CustomerRequest, month: str, form: str) -> HttpResponse:
    """Download a month's statement."""
    file = find_file(get_wallet(request.team), month, form)
    if file is None:
        raise Http404("There is no such statement.")
    return as_download(file.content, name=file.name, content_type=file.content_type)
