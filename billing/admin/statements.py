"""A customer's statements at the desk: the same files as on the customer's own page."""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from accounts.desk.pages import DeskAdmin, Tool, desk_page
from billing.models import Wallet
from billing.statements.files import find_file
from billing.statements.month import list_months
from common.downloads import as_download

PERMISSION = "billing.view_ledgerentry"


def statements_tool(wallet: Wallet) -> Tool:
    """Return the button that leads from a wallet's page to its statements."""
    return Tool("Statements", reverse("admin:billing_wallet_statements", args=[wallet.pk]))


def statement_urls(page: DeskAdmin[Wallet]) -> list[URLPattern]:
    """Return the URL patterns of a wallet's statements, for staff who may see the ledger."""

    def listing(request: HttpRequest, wallet_id: int) -> HttpResponse:
        wallet = find(request, wallet_id)
        return desk_page(
            request,
            "admin/billing/wallet/statements.html",
            title=f"Statements of {wallet.team}",
            opts=page.opts,
            wallet=wallet,
            months=list_months(wallet),
        )

    def one(request: HttpRequest, wallet_id: int, month: str, form: str) -> HttpResponse:
        file = find_file(find(request, wallet_id), month, form)
        if file is None:
            raise Http404("There is no such statement.")
        return as_download(file.content, name=file.name, content_type=file.content_type)

    def find(request: HttpRequest, wallet_id: int) -> Wallet:
        if not (page.has_view_permission(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        return get_object_or_404(Wallet.objects.select_related("team__person"), pk=wallet_id)

    base, view = "<int:wallet_id>/statements/", page.admin_site.admin_view
    return [
        path(base, view(listing), name="billing_wallet_statements"),
        path(f"{base}<str:month>.<str:form>", view(one), name="billing_wallet_statement"),
    ]
