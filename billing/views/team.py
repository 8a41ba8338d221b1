"""A team: who is in it, its name, leaving and closing it, founding one."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Membership, Role, Team, User
from accounts.teams.addressing import addressing
from accounts.teams.members import found_team, is_alone, rename_team
from accounts.teams.roles import ROLE_WORDS, Deed, may, may_act_on
from billing.teams.closing import close_team, why_not_closed
from billing.teams.members import leave_team
from billing.teams.spending import Spent, spending_by_member
from billing.teams.unspent import read_unspent
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, customer_only, fresh_only, member_only
from billing.views.team_forms import TeamNameForm


@member_only(Deed.SEE_MEMBERS)
@require_safe
def team(request: CustomerRequest) -> HttpResponse:
    """List the members; what each spent is for them and for those who see everybody's usage."""
    return _render_team(request, TeamNameForm(initial={"name": request.team.name}))


@member_only(Deed.CHANGE_TEAM)
@require_POST
def team_rename(request: CustomerRequest) -> HttpResponse:
    """Give the team another name."""
    form = TeamNameForm(request.POST)
    if not form.is_valid():
        return _render_team(request, form)
    with as_message(request):
        rename_team(request.seat, form.cleaned_data["name"])
        messages.success(request, gettext("Renamed."))
    return redirect("team")


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def team_new(request: CustomerRequest) -> HttpResponse:
    """Say what a team is, and on POST found one, with a balance of its own."""
    form = TeamNameForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        next_url = reverse("team-new")
        with as_message(request):
            seat = found_team(request.user, form.cleaned_data["name"])
            messages.success(
                request, gettext("Your team is ready. Invite people, and buy its first pack.")
            )
            next_url = page_of(seat.team, request.user, "team-invitations")
        return redirect(next_url)
    status = 400 if form.errors else 200
    return render(request, "dashboard/team/new.html", {"form": form}, status=status)


@customer_only
@require_http_methods(["GET", "HEAD", "POST"])
def team_leave(request: CustomerRequest) -> HttpResponse:
    """Say what ends, and on POST leave the team."""
    if request.method == "POST":
        next_url = reverse("team")
        with as_message(request):
            leave_team(request.seat)
            messages.success(request, gettext("You have left {team}.").format(team=request.team))
            next_url = page_of(None, request.user, "dashboard")
        return redirect(next_url)
    return render(request, "dashboard/team/leave.html", {"is_alone": is_alone(request.team)})


@member_only(Deed.CHANGE_TEAM)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def team_close(request: CustomerRequest) -> HttpResponse:
    """Say what is lost and what is refunded, and on POST close the team for good."""
    is_typed = request.POST.get("name", "").strip() == str(request.team)
    if request.method == "POST" and is_typed:
        name = str(request.team)
        with as_message(request):
            close_team(request.seat)
            messages.success(request, gettext("The team {name} is closed.").format(name=name))
            return redirect(page_of(None, request.user, "dashboard"))
    context = {
        "is_alone": is_alone(request.team),
        "why_not": why_not_closed(request.team),
        "unspent": read_unspent(request.team),
        "is_mistyped": request.method == "POST" and not is_typed,
    }
    status = 400 if context["is_mistyped"] else 200
    return render(request, "dashboard/team/close.html", context, status=status)


def members_seen_by(seat: Membership) -> list[Membership]:
    """Return a team's members, each with what they `spent`, which is None for readers who may not
    see it, and `is_open` for those who may change them.
    """
    sees_all, spent = may(seat, Deed.SEE_ALL_USAGE), spending_by_member(seat.team)
    members = list(seat.team.memberships.select_related("user"))
    for member in members:
        is_seen = sees_all or member.user_id == seat.user_id
        vars(member).update(
            spent=spent.get(member.user_id, Spent()) if is_seen else None,
            is_open=may_act_on(seat, member.role),
        )
    return members


def _render_team(request: CustomerRequest, form: TeamNameForm) -> HttpResponse:
    context = {
        "members": members_seen_by(request.seat),
        "form": form,
        "role_words": gettext(ROLE_WORDS[Role(request.seat.role)]),
    }
    status = 400 if form.errors else 200
    return render(request, "dashboard/team/team.html", context, status=status)


def page_of(team: Team | None, reader: User, name: str) -> str:
    """Return the address of a page of another team than the present one; None is the reader's."""
    with addressing(team, reader):
        return reverse(name)
