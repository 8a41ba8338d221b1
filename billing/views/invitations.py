"""Invitations to a team: send, list, withdraw, send again; and answer one."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.addresses import is_confirmed
from accounts.models import Invitation, Role
from accounts.teams.invitations import (
    find_invitation,
    find_invitation_to,
    open_invitations,
    revoke_invitation,
)
from accounts.teams.roles import Deed, described_roles
from billing.teams.invitations import accept, invite
from billing.views.refusals import as_message
from billing.views.requests import (
    CustomerRequest,
    HtmxRequest,
    customer_only,
    fresh_only,
    member_only,
)
from billing.views.team import page_of
from billing.views.team_forms import InvitationForm, roles_to_give


@member_only(Deed.MANAGE_MEMBERS)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def invitations(request: CustomerRequest) -> HttpResponse:
    """List the open invitations; on POST invite an address."""
    form = InvitationForm(request.seat, request.POST if request.method == "POST" else None)
    if form.is_valid():
        _invite(request, form.cleaned_data["email"], form.cleaned_data["role"])
        return redirect("team-invitations")
    context = {
        "invitations": open_invitations(request.team),
        "form": form,
        "is_confirmed": is_confirmed(request.user),
        "roles": described_roles(roles_to_give(request.seat)),
    }
    status = 400 if form.errors else 200
    return render(request, "dashboard/team/invitations.html", context, status=status)


@member_only(Deed.MANAGE_MEMBERS)
@fresh_only("POST")
@require_POST
def invitation_resend(request: CustomerRequest, invitation_id: int) -> HttpResponse:
    """Invite an address again: the mail has a new link, and the old one ends."""
    found = _find_open(request, invitation_id)
    _invite(request, found.email, found.role)
    return redirect("team-invitations")


@member_only(Deed.MANAGE_MEMBERS)
@require_POST
def invitation_revoke(request: CustomerRequest, invitation_id: int) -> HttpResponse:
    """Withdraw an invitation."""
    found = get_object_or_404(Invitation, pk=invitation_id, team=request.team)
    with as_message(request):
        if revoke_invitation(request.seat, found):
            messages.success(
                request,
                gettext("The invitation of {email} is withdrawn.").format(email=found.email),
            )
        else:
            messages.info(
                request, gettext("It was accepted or withdrawn before. Nothing was changed.")
            )
    return redirect("team-invitations")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HtmxRequest, secret: str) -> HttpResponseBase:
    """Show who invites to what; on POST join, and go to the team's dashboard.

    Only the person who was invited sees anything: a link that went astray tells nobody of a team.
    """
    if not request.user.is_authenticated:
        return render(request, "account/invited.html")
    return _answer(request, find_invitation(secret))


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_listed(request: CustomerRequest, invitation_id: int) -> HttpResponseBase:
    """Show the same to a person whom the overview told of it, without the mail's link."""
    return _answer(request, find_invitation_to(request.user, invitation_id))


@customer_only
def _answer(request: CustomerRequest, found: Invitation | None) -> HttpResponse:
    if request.method == "POST" and found is not None:
        next_url = request.path
        with as_message(request):
            seat = accept(request.user, found)
            messages.success(
                request, gettext("You are in the team {team} now.").format(team=seat.team)
            )
            next_url = page_of(seat.team, request.user, "dashboard")
        return redirect(next_url)
    is_theirs = found is not None and found.email == request.user.email
    context = {
        "invitation": found if is_theirs else None,
        "is_confirmed": is_confirmed(request.user),
    }
    return render(request, "dashboard/invitation.html", context, status=200 if is_theirs else 404)


def _invite(request: CustomerRequest, email: str, role: str) -> None:
    with as_message(request):
        made, was_mailed = invite(request.seat, email, Role(role))
        if was_mailed:
            messages.success(
                request,
                gettext("{email} is invited. The link works for seven days.").format(
                    email=made.email
                ),
            )
        else:
            messages.warning(
                request,
                gettext(
                    "The mail to {email} couldn't be sent. Please send it again in a while."
                ).format(email=made.email),
            )


def _find_open(request: CustomerRequest, invitation_id: int) -> Invitation:
    """Return an invitation of the present team that was neither used nor withdrawn, or 404."""
    return get_object_or_404(
        Invitation, pk=invitation_id, team=request.team, accepted_at=None, revoked_at=None
    )
