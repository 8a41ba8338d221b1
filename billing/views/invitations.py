"""Answer an invitation to a team."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.addresses import is_confirmed
from accounts.teams.addressing import addressing
from accounts.teams.exceptions import TeamError
from accounts.teams.invitations import accept, find_invitation
from billing.views.requests import CustomerRequest, customer_only


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: CustomerRequest, secret: str) -> HttpResponse:
    """Show who invites to what; on POST join, and go to the team's dashboard.

    Only the person who was invited sees anything: a link that went astray tells nobody of a team.
    """
    if request.method == "POST":
        try:
            seat = accept(request.user, secret)
        except TeamError as refusal:
            messages.error(request, str(refusal))
            return redirect("invitation", secret=secret)
        messages.success(request, f"You are in the team {seat.team} now.")
        with addressing(seat.team, request.user):
            return redirect(reverse("dashboard"))
    found = find_invitation(secret)
    is_theirs = found is not None and found.email == request.user.email
    context = {
        "invitation": found if is_theirs else None,
        "is_confirmed": is_confirmed(request.user),
    }
    return render(request, "dashboard/invitation.html", context, status=200 if is_theirs else 404)
