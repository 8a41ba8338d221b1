"""API keys: list, create, change, rotate, pause, revoke. A secret appears in one answer only."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.api_keys import keys_of
from accounts.models import ApiKey
from accounts.teams.exceptions import TeamError
from accounts.teams.members import is_alone
from accounts.teams.roles import Deed, may
from billing.exceptions import BillingError, KeyNotUsable, SignedOut, TooManyKeys
from billing.keys import api_keys
from billing.keys.forms import ApiKeyForm, RotateForm
from billing.keys.refusals import find_knocks
from billing.keys.settings import KeySettings
from billing.ledger.wallets import get_wallet
from billing.views.requests import CustomerRequest, fresh_only, member_only
from billing.wallet.usage import month_end, month_of


@member_only(Deed.MAKE_KEYS)
@require_safe
def keys(request: CustomerRequest) -> HttpResponse:
    """List the member's keys, or everybody's for those who manage them."""
    return _render_keys(request, ApiKeyForm())


@member_only(Deed.MAKE_KEYS)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def key_create(request: CustomerRequest) -> HttpResponse:
    """Create a key and show its secret once. A GET leads to the list."""
    if request.method != "POST":
        return redirect("dashboard-keys")
    form = ApiKeyForm(request.POST)
    if form.is_valid():
        try:
            key, secret = api_keys.issue_api_key(
                request.seat,
                name=form.cleaned_data["name"],
                settings=form.change(KeySettings()),
            )
        except (SignedOut, TooManyKeys, TeamError) as error:
            form.add_error(None, str(error))
        else:
            return _render_keys(request, ApiKeyForm(), new_key=key, secret=secret)
    return _render_keys(request, form, status=200 if request.htmx else 400)


@member_only(Deed.MAKE_KEYS)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def key_edit(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Show a key with its limits and what it spent, and on POST change it."""
    key = get_object_or_404(keys_of(request.seat), pk=key_id)
    if key.revoked_at:
        return redirect("dashboard-keys")
    form = ApiKeyForm(request.POST or None, key=key)
    if request.method == "POST" and form.is_valid():
        try:
            api_keys.adjust_api_key(
                key, form.change, name=form.cleaned_data["name"], by=request.user
            )
        except KeyNotUsable as error:
            form.add_error(None, str(error))
        else:
            return redirect("dashboard-keys")
    now = timezone.now()
    context = {
        "key": _with_spending(request, [key])[0],
        "form": form,
        "now": now,
        "is_rotating": key.is_rotating(now),
        "resets_at": month_end(month_of(int(now.timestamp() * 1_000))),
    }
    return render(request, "dashboard/key.html", context, status=400 if form.errors else 200)


@member_only(Deed.MAKE_KEYS)
@fresh_only("GET", "HEAD", "POST")
@require_http_methods(["GET", "HEAD", "POST"])
def key_rotate(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Ask how long the old secret is to work, and on POST show the new one once."""
    key = get_object_or_404(keys_of(request.seat), pk=key_id)
    form, secret = RotateForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            secret = api_keys.rotate_api_key(key, overlap=form.duration(), by=request.user)
        except BillingError as error:
            form.add_error(None, str(error))
    now = timezone.now()
    context = {
        "key": key,
        "form": form,
        "secret": secret,
        "is_usable": key.is_usable(now),
        "is_rotating": key.is_rotating(now),
    }
    return render(request, "dashboard/key_rotate.html", context, status=400 if form.errors else 200)


@member_only(Deed.MAKE_KEYS)
@require_POST
def key_end_rotation(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Let the old secret of a key stop working now."""
    key = get_object_or_404(keys_of(request.seat), pk=key_id)
    api_keys.end_rotation(key)
    return redirect("dashboard-key", key_id=key.pk)


@member_only(Deed.MAKE_KEYS)
@require_http_methods(["GET", "HEAD", "POST"])
def key_pause(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Ask for confirmation, and on POST pause. The mail about a leap in spending leads here."""
    key = get_object_or_404(keys_of(request.seat), pk=key_id)
    if request.method == "POST":
        if api_keys.pause_api_key(key, by=request.user):
            messages.success(
                request, gettext("The key is paused: it is refused until you resume it.")
            )
        return redirect("dashboard-key", key_id=key.pk)
    return render(request, "dashboard/key_pause.html", {"key": key})


@member_only(Deed.MAKE_KEYS)
@require_POST
def key_resume(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Let a paused key go on."""
    key = get_object_or_404(keys_of(request.seat), pk=key_id)
    if api_keys.resume_api_key(key, by=request.user):
        messages.success(request, gettext("The key works again, within a few seconds everywhere."))
    return redirect("dashboard-key", key_id=key.pk)


@member_only(Deed.MAKE_KEYS)
@require_http_methods(["GET", "HEAD", "POST"])
def key_revoke(request: CustomerRequest, key_id: int) -> HttpResponse:
    """Ask for confirmation, and on POST revoke. htmx gets the key's row of the table."""
    key = get_object_or_404(keys_of(request.seat), pk=key_id)
    if request.method == "POST":
        api_keys.revoke_api_key(key, by=request.user)
        key.refresh_from_db()
        if not request.htmx:
            return redirect("dashboard-keys")
    (key,) = _with_spending(request, [key])
    context = {
        "key": key,
        "now": timezone.now(),
        "is_asking": key.revoked_at is None,
        "shows_makers": _shows_makers(request),
    }
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
        "keys": _with_spending(request, list(keys_of(request.seat))),
        "form": form,
        "new_key": new_key,
        "secret": secret,
        "now": timezone.now(),
        "shows_makers": _shows_makers(request),
    }
    template = "dashboard/_keys.html" if request.htmx else "dashboard/keys.html"
    return render(request, template, context, status=status)


def _shows_makers(request: CustomerRequest) -> bool:
    """Tell whether to say who made a key: to readers who see those of several people."""
    return may(request.seat, Deed.MANAGE_ALL_KEYS) and not is_alone(request.team)


def _with_spending(request: CustomerRequest, found: list[ApiKey]) -> list[ApiKey]:
    """Set on each key what it spent, in all and this month, and its use since it ended."""
    spent = api_keys.booked_spending(request.team)
    knocks = find_knocks(get_wallet(request.team).pk)
    for key in found:
        total, this_month = spent.get(key.pk, (0, 0))
        count, last_at = knocks.get(key.pk, (0, None))
        vars(key).update(
            spent_credits=total,
            month_spent_credits=this_month,
            refused_requests=count,
            refused_at=last_at,
        )
    return found
