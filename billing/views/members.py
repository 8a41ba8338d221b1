"""One member of a team: their role and caps, handing over to them, removing them."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Membership, Role
from accounts.teams.roles import Deed, described_roles, may_act_on
from billing.teams.members import remove_member, set_member_caps
from billing.teams.roles import change_role, hand_over
from billing.teams.spending import Spent, spending_by_member
from billing.views.refusals import as_message
from billing.views.requests import CustomerRequest, fresh_only, member_only
from billing.views.team_forms import PASSES, CapsForm, RemovalForm, RoleForm


@member_only(Deed.MANAGE_MEMBERS)
@require_safe
def member(request: CustomerRequest, member_id: int) -> HttpResponse:
    """Show a member with what they spent and what the reader may change."""
    return _render(request, _find(request, member_id))


@member_only(Deed.MANAGE_MEMBERS)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def member_caps(request: CustomerRequest, member_id: int) -> HttpResponse:
    """Set the most that a member's keys may spend. A GET leads to the member."""
    found, form = _find(request, member_id), CapsForm(request.POST)
    if request.method != "POST":
        return redirect("team-member", member_id=found.pk)
    if not form.is_valid():
        return _render(request, found, caps=form)
    with as_message(request):
        set_member_caps(request.seat, found.user, **form.cleaned_data)
        messages.success(request, gettext("Saved. The caps bind the next request."))
    return redirect("team-member", member_id=found.pk)


@member_only(Deed.CHANGE_ROLES)
@fresh_only("POST")
@require_http_methods(["GET", "HEAD", "POST"])
def member_role(request: CustomerRequest, member_id: int) -> HttpResponse:
    """Give a member another role. A GET leads to the member."""
    found, form = _find(request, member_id), RoleForm(request.POST)
    if request.method != "POST":
        return redirect("team-member", member_id=found.pk)
    if not form.is_valid():
        return _render(request, found, role=form)
    with as_message(request):
        change_role(request.seat, found.user, Role(form.cleaned_data["role"]))
        messages.success(request, gettext("Saved. The role is in force."))
    # Whoever has given up their own role may not see the member's page any more.
    return redirect("team")


@member_only(Deed.CHANGE_ROLES)
@fresh_only("GET", "HEAD", "POST")
@require_http_methods(["GET", "HEAD", "POST"])
def member_hand_over(request: CustomerRequest, member_id: int) -> HttpResponse:
    """Say what handing over means, and on POST make this member an owner in the reader's place."""
    found = _find(request, member_id)
    if request.method == "POST":
        with as_message(request):
            hand_over(request.seat, found.user)
            messages.success(
                request,
                gettext("{user} owns the team now, and you are an admin.").format(user=found.user),
            )
        return redirect("team")
    return render(request, "dashboard/team/hand_over.html", {"member": found})


@member_only(Deed.MANAGE_MEMBERS)
@fresh_only("GET", "HEAD", "POST")
@require_http_methods(["GET", "HEAD", "POST"])
def member_remove(request: CustomerRequest, member_id: int) -> HttpResponse:
    """Ask what becomes of a member's keys, and on POST remove the member."""
    found = _find(request, member_id)
    form = RemovalForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with as_message(request):
            remove_member(request.seat, found.user, keeps_keys=form.cleaned_data["keys"] == PASSES)
            messages.success(
                request, gettext("{user} is not in the team any more.").format(user=found.user)
            )
        return redirect("team")
    context = {"member": found, "form": form}
    status = 400 if form.errors else 200
    return render(request, "dashboard/team/remove.html", context, status=status)


def _find(request: CustomerRequest, member_id: int) -> Membership:
    """Return a member of the present team whom the reader may act on; else 404, or 403."""
    members = request.team.memberships.select_related("user", "team__person")
    found = get_object_or_404(members, pk=member_id)
    if not may_act_on(request.seat, found.role):
        raise PermissionDenied("Only an owner may do this to an owner.")
    return found


def _render(
    request: CustomerRequest,
    found: Membership,
    *,
    caps: CapsForm | None = None,
    role: RoleForm | None = None,
) -> HttpResponse:
    initial = {name: getattr(found, name) for name in CapsForm.base_fields}
    context = {
        "member": found,
        "spent": spending_by_member(request.team).get(found.user_id, Spent()),
        "caps_form": caps or CapsForm(initial=initial),
        "role_form": role or RoleForm(initial={"role": found.role}),
        "roles": described_roles(Role),
        "is_self": found.user_id == request.user.pk,
    }
    status = 400 if caps or role else 200
    return render(request, "dashboard/team/member.html", context, status=status)
