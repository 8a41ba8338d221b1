"""Monthly statements: the list, and each as a PDF or a table."""

from collections.abc import Callable

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.ledger.wallets import get_wallet
from billing.models import Wallet
from billing.statements.csv_file import write_csv
from billing.statements.month import Statement, list_months, make_statement, parse_month
from billing.statements.pdf_file import write_pdf
from billing.views.requests import CustomerRequest, customer_only

FORMS: dict[str, tuple[str, Callable[[Statement], bytes]]] = {
    "pdf": ("application/pdf", write_pdf),
    "csv": ("text/csv; charset=utf-8", write_csv),
}


@customer_only
@require_safe
def statements(request: CustomerRequest) -> HttpResponse:
    """List the months, newest first."""
    months = list_months(get_wallet(request.user))
    return render(request, "dashboard/statements.html", {"months": months})


@customer_only
@require_safe
def statement(request: CustomerRequest, month: str, form: str) -> HttpResponse:
    """Download a month's statement."""
    return download(get_wallet(request.user), month, form)


def download(wallet: Wallet, month_text: str, form: str) -> HttpResponse:
    """Answer with a wallet's statement as a file. Raises Http404 if there is none."""
    month = parse_month(month_text)
    if month is None or month not in list_months(wallet) or form not in FORMS:
        raise Http404("There is no such statement.")
    content_type, write = FORMS[form]
    answer = HttpResponse(write(make_statement(wallet, month)), content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="statement-{month}.{form}"'
    return answer
