"""The audit trail of a team: a page and a file of the same events."""

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.teams.roles import Deed
from accounts.teams.trail import EventPage, events_of, read_event_page
from billing.teams.trail_file import write_trail
from billing.views.requests import CustomerRequest, member_only
from billing.views.team_forms import EventFilterForm
from common.attempts import count_attempt

FILTERS = ("person", "action")
MOST_FILES_PER_HOUR = 30


@member_only(Deed.SEE_EVENTS)
@require_safe
def team_events(request: CustomerRequest) -> HttpResponse:
    """List what happened, newest first. An invalid filter shows nothing and says why."""
    form = EventFilterForm(request.seat, request.GET)
    is_valid = form.is_valid()
    page = EventPage([], None)
    if is_valid:
        chosen = form.cleaned_data
        events = events_of(request.team, person=chosen["person"], action=chosen["action"])
        page = read_event_page(events, before=chosen["before"])
    context = {
        "form": form,
        "events": page.events,
        "is_filtered": any(form.data.get(name) for name in FILTERS),
        "filters": _query(form),
        "newest_url": _query(form) if form.data.get("before") else "",
        "next_url": _query(form, before=page.next_before) if page.next_before else "",
    }
    template = "dashboard/team/_events.html" if request.htmx else "dashboard/team/events.html"
    return render(request, template, context, status=200 if is_valid or request.htmx else 400)


@member_only(Deed.SEE_EVENTS)
@require_safe
def team_events_file(request: CustomerRequest) -> HttpResponseBase:
    """Download the events as CSV, filtered as the page is."""
    form = EventFilterForm(request.seat, request.GET)
    if not form.is_valid():
        return HttpResponse(
            gettext("That filter isn't valid."), status=400, content_type="text/plain"
        )
    if count_attempt(f"trail:{request.user.pk}") > MOST_FILES_PER_HOUR:
        return render(request, "429.html", {"wait": "an hour"}, status=429)
    chosen = form.cleaned_data
    events = events_of(request.team, person=chosen["person"], action=chosen["action"])
    return FileResponse(
        write_trail(events), as_attachment=True, filename="audit-trail.csv", content_type="text/csv"
    )


def _query(form: EventFilterForm, **more: int) -> str:
    values = {name: form.data.get(name) for name in FILTERS} | more
    return "?" + urlencode({name: value for name, value in values.items() if value})
