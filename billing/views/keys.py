"""API keys: list, create, revoke. A secret is in one answer and nowhere else."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import ApiKey
from billing.forms import ApiKeyForm
from billing.services.api_keys import issue_api_key, revoke_api_key
from billing.views.requests import CustomerRequest, customer_only


@customer_only
@require_safe
def keys(request: CustomerRequest) -> HttpResponse:
    """List the customer's keys."""
    return _render_keys(request, ApiKeyForm())


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def key_create(request: CustomerRequest) -> HttpResponse:
    """Create a key and show its secret, this once. Whoever only opens the address gets the list."""
    if request.method != "POST":
        return redirect("dashboard-keys")
    form = ApiKeyForm(request.POST)
    if not form.is_valid():
        return _render_keys(request, form, status=200 if request.htmx else 400)
    key, secret = issue_api_key(
        request.user, name=form.cleaned_data["name"], expires_at=form.expires_at()
    )
    return _render_keys(request, ApiKeyForm(), new_key=key, secret=secret)


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Ask, and on POST revoke. htmx gets the key's row of the table."""
    key = get_object_or_404(ApiKey, pk=key_id, user=request.user)
    if request.method == "POST":
        revoke_api_key(key)
        key.refresh_from_db()
        if not request.htmx:
            return redirect("dashboard-keys")
    context = {"key": key, "now": timezone.now(), "is_asking": key.revoked_at is None}
    template = "dashboard/_key_row.html" if request.htmx else "dashboard/key_revoke.html"
    return render(request, template, context)


def _render_keys(
    request: CustomerRequest,
    form: ApiKeyForm,
    *,
    new_key: ApiKey | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "keys": ApiKey.objects.filter(user=request.user),
        "form": form,
        "new_key": new_key,
        "secret": secret,
        "now": timezone.now(),
    }
    template = "dashboard/_keys.html" if request.htmx else "dashboard/keys.html"
    return render(request, template, context, status=status)
