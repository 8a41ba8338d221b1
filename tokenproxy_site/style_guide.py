"""Every component in every state, for whoever changes the looks. In debug mode alone."""

from datetime import timedelta

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.time_zones import zone_of
from billing.models import Promotion
from proxy.upstreams.service import DAYS, Day, History

ICONS = ["alert", "check", "clock", "copy", "info", "key", "mail", "menu", "orders", "shield"]


class Fields(forms.Form):
    """A field of each kind."""

    text = forms.CharField(help_text="What it is for, in one sentence.")
    number = forms.IntegerField(min_value=1)
    choice = forms.ChoiceField(choices=[("a", "The first"), ("b", "The second")])
    box = forms.BooleanField(required=False, label="Something to agree to")
    locked = forms.CharField(disabled=True, initial="Can't be changed", required=False)


@require_safe
def style_guide(request: HttpRequest) -> HttpResponse:
    """Show the components."""
    if not settings.DEBUG:
        raise Http404("There is no style guide.")
    today = timezone.now().date()
    # One bar of each state, over and over.
    seconds = [(0, 0), (8_000, 0), (8_000, 200), (100, 900)]
    days = [Day(today - timedelta(days=back), *seconds[back % 4]) for back in range(DAYS)]
    context = {
        "fields": Fields(initial={"text": "As it was filled in", "number": 5}),
        "wrong": Fields({"number": "-1", "choice": "c"}),
        "history": History("gpt-4", days[::-1]),
        "icons": ICONS,
        "promotion": Promotion(
            title="A fifth more credits",
            text="In every pack, and in amounts of your choice.",
            ends_at=timezone.now() + timedelta(days=7),
        ),
        "zone": zone_of(request),
    }
    return render(request, "style_guide.html", context)
