"""The status page: the service's parts, each model's last 90 days, and incidents; and its feed."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.catalogue.on_sale import read_priced_models
from billing.rollups.published import read_speeds
from billing.views.requests import HtmxRequest
from proxy.models import Incident, IncidentUpdate
from proxy.upstreams.providers.probe_costs import read_probe_latencies
from proxy.upstreams.service import read_histories
from tokenproxy_site.health import find_problems
from tokenproxy_site.status_mails import SubscriptionForm

# Customers read what a part does for them; the operator reads what is wrong inside.
PARTS = {
    "database": (_("Accounts and orders"), _("Log-in, the dashboard and orders.")),
    "wallet": (_("API and balances"), _("Requests to models, and the balance that pays for them.")),
    "worker": (_("Bookkeeping"), _("Puts charges and payments on the books within seconds.")),
}
PAST = timedelta(days=90)
IN_FEED = 50
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@never_cache
@require_safe
def status(request: HtmxRequest) -> HttpResponse:
    """Show whether each part works. htmx gets that part; the page also has history."""
    problems = find_problems()
    parts = [
        {"name": name, "words": words, "is_up": part not in problems}
        for part, (name, words) in PARTS.items()
    ]
    # PostgreSQL may be what is away.
    knows_more = "database" not in problems
    context = {
        "parts": parts,
        "is_up": not problems,
        "open_incidents": read_incidents(is_open=True) if knows_more else [],
    }
    if request.htmx:
        return render(request, "storefront/_status.html", context)
    if knows_more:
        context |= _history()
    return render(request, "storefront/status.html", context)


def _history() -> dict[str, object]:
    speeds = read_speeds()
    latencies = read_probe_latencies()
    histories = read_histories([each.model.name for each in read_priced_models()])
    return {
        "models": [
            (history, speeds.get(history.model_name), latencies.get(history.model_name))
            for history in histories
        ],
        "is_probed": bool(latencies),
        "is_measured": any(history.uptime is not None for history in histories),
        "past_incidents": read_incidents(is_open=False),
        "subscription": SubscriptionForm(),
    }


def read_incidents(*, is_open: bool) -> Sequence[Incident]:
    """Return incidents that go on, or those that are over, newest first, with all that was said."""
    is_wanted = Q(resolved_at=None) if is_open else Q(resolved_at__gte=timezone.now() - PAST)
    return list(Incident.objects.filter(is_wanted).prefetch_related("updates", "affected"))


class IncidentFeed(Feed[IncidentUpdate, None]):
    """What staff said of incidents, newest first, as Atom."""

    feed_type = Atom1Feed

    def title(self) -> str:
        return gettext("{site_name} status").format(site_name=settings.SITE_NAME)

    def link(self) -> str:
        return f"{settings.SITE_URL}{reverse('status')}"

    def items(self) -> Sequence[IncidentUpdate]:
        return list(IncidentUpdate.objects.select_related("incident")[:IN_FEED])

    def item_title(self, item: IncidentUpdate) -> str:
        return _for_xml(f"{item.incident.title}: {item.get_state_display()}")

    def item_description(self, item: IncidentUpdate) -> str:
        return _for_xml(item.text)

    def item_link(self, item: IncidentUpdate) -> str:
        return f"{self.link()}#incident-{item.incident_id}"

    def item_guid(self, item: IncidentUpdate) -> str:
        return f"{self.link()}#update-{item.pk}"

    def item_updateddate(self, item: IncidentUpdate) -> datetime:
        return item.said_at


def _for_xml(text: str) -> str:
    """Leave out what XML can't hold."""
    return NOT_IN_XML.sub("", text)
