"""A customer's dashboard as they see it, for staff: to be looked at only, for minutes, recorded.

Staff stay who they are. That they visit a member of a team is kept in their own session, and the
member's pages are answered under `/admin/as/<member>/`, where every address on them stays. Pages
are those named here; what one of them writes is rolled back.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import resolve, reverse
from django.views.decorators.http import require_POST

from accounts.audit import Said, write_line
from accounts.desk.recording import doer_of
from accounts.models import Membership
from accounts.teams.addressing import under

RIGHT = "billing.view_dashboard"
# In the session: until when each member is visited, in seconds since 1970.
VISITS = "visits"
# None of these shows a secret, talks to Stripe or does anything.
PAGES = frozenset(
    {
        "dashboard",
        "dashboard-key",
        "dashboard-keys",
        "dashboard-order",
        "dashboard-orders",
        "dashboard-receipt",
        "dashboard-redeem",
        "dashboard-statements",
        "dashboard-top-up",
        "dashboard-usage",
        "settings-notifications",
        "settings-profile",
        "team",
        "team-events",
        "team-invitations",
        "team-member",
    }
)


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page says of the visit that it is shown in."""

    member: Membership
    until: datetime
    end_url: str


def who_may_be_visited(team_id: int) -> QuerySet[Membership]:
    """Return the members of an open team whom staff may visit: no staff, whose power would show."""
    seats = Membership.objects.filter(
        team=team_id, team__closed_at=None, user__is_staff=False, user__is_superuser=False
    )
    return seats.select_related("team__person", "user").order_by("joined_at", "pk")


def start_visit(request: HttpRequest, member: Membership) -> datetime:
    """Let this browser visit a member. Returns until when."""
    until = time.time() + settings.DESK_VISIT_MINUTES * 60
    request.session[VISITS] = {**_visits(request), str(member.pk): until}
    return datetime.fromtimestamp(until, UTC)


def address_of(member: Membership) -> str:
    """Return where a visit begins."""
    return reverse("admin:visit", args=[member.pk, reverse("dashboard").removeprefix("/")])


def show_visit(request: HttpRequest, member_id: int, rest: str) -> HttpResponse:
    """Answer with a page of the member's, which nothing comes of."""
    member = _find_member(request, member_id)
    until = _visits(request).get(str(member_id), 0)
    if until <= time.time():
        messages.warning(request, "You are not looking at this dashboard now. Say why you would.")
        return redirect(_start_url(member))
    visit = Visit(
        member,
        datetime.fromtimestamp(until, UTC),
        reverse("admin:end-visit", args=[member.pk]),
    )
    found = resolve(f"/{rest}")
    prefix = reverse("admin:visit", args=[member.pk, "x"]).removesuffix("/x")
    with _as_visited(request, visit, f"/{rest}", prefix), _nothing_is_kept():
        request.resolver_match = found
        if request.method not in ("GET", "HEAD") or found.url_name not in PAGES:
            return render(request, "dashboard/not_visited.html", status=403)
        answer: HttpResponse = found.func(request, *found.args, **found.kwargs)
        return answer


@require_POST
def end_visit(request: HttpRequest, member_id: int) -> HttpResponse:
    """End a visit, and lead back to the customer's page."""
    member = _find_member(request, member_id)
    visits = _visits(request)
    if visits.pop(str(member_id), None):
        request.session[VISITS] = visits
        said = Said(name=f"Wallet of {member.team}", words=f"Member {member.pk}.")
        write_line(
            doer_of(request),
            "Ended looking at a dashboard",
            obj=member.team.wallet,
            said=said,
        )
    return redirect("admin:billing_wallet_change", member.team.wallet.pk)


def _find_member(request: HttpRequest, member_id: int) -> Membership:
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied
    found = Membership.objects.filter(pk=member_id).first()
    seat = who_may_be_visited(found.team_id).filter(pk=member_id).first() if found else None
    if seat is None:
        raise Http404("There is nobody to be visited here.")
    return seat


def _visits(request: HttpRequest) -> dict[str, float]:
    """Return this browser's visits that are not over."""
    kept: dict[str, Any] = request.session.get(VISITS, {})
    return {name: until for name, until in kept.items() if until > time.time()}


def _start_url(member: Membership) -> str:
    url = reverse("admin:billing_wallet_do", args=["look"])
    return f"{url}?ids={member.team.wallet.pk}"


@contextmanager
def _as_visited(request: HttpRequest, visit: Visit, path_info: str, prefix: str) -> Iterator[None]:
    """Let a request be the member's, for one page, and then the member of staff's again."""
    before = {**vars(request), "user": request.user}
    request.user = visit.member.user
    request.path_info = path_info
    vars(request).update(visit=visit, seat=visit.member, team=visit.member.team)
    try:
        with under(prefix):
            yield
    finally:
        vars(request).clear()
        vars(request).update(before)


@contextmanager
def _nothing_is_kept() -> Iterator[None]:
    """Roll back what is written within, such as what a page makes when it is first opened."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
