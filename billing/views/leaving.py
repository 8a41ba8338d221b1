"""Take one's data along, and leave for good."""

from django.contrib.auth import logout
from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.teams.members import own_team
from billing.leaving.deletion import delete_account, why_not
from billing.leaving.export import write_export
from billing.teams.unspent import read_unspent
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, customer_only, fresh_only
from common.attempts import count_attempt

MOST_EXPORTS_PER_HOUR = 10


@customer_only
@require_safe
def data(request: CustomerRequest) -> HttpResponse:
    """Show the ways to one's data and out."""
    return render(request, "dashboard/settings/data.html")


@customer_only
@fresh_only("POST")
@require_POST
def export(request: CustomerRequest) -> HttpResponseBase:
    """Download all that is kept about the customer."""
    if count_attempt(f"export:{request.user.pk}") > MOST_EXPORTS_PER_HOUR:
        return render(request, "429.html", {"wait": "an hour"}, status=429)
    return FileResponse(write_export(request.user), as_attachment=True, filename="my-data.zip")


@customer_only
@fresh_only("GET", "HEAD", "POST")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: CustomerRequest) -> HttpResponse:
    """Say what is lost and what is refunded, and on POST delete the account."""
    if request.method == "POST" and request.POST.get("email", "").lower() == request.user.email:
        with as_message(request):
            delete_account(request.user)
            logout(request)
            return redirect("account-deleted")
    context = {
        "why_not": why_not(request.user),
        "unspent": read_unspent(own_team(request.user)),
        "is_mistyped": request.method == "POST",
    }
    return render(request, "dashboard/settings/delete.html", context)


@require_safe
def deleted(request: CustomerRequest) -> HttpResponse:
    """Say goodbye."""
    return render(request, "account/deleted.html")
