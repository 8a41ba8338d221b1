"""The status page: what `/readyz` knows, in words for customers."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.views.requests import HtmxRequest
from tokenproxy_site.health import find_problems

# Customers read what a part does for them; the operator reads what is wrong inside.
PARTS = {
    "database": ("Accounts and orders", "Log-in, the dashboard and orders."),
    "wallet": ("API and balances", "Requests to models, and the balance that pays for them."),
    "worker": ("Bookkeeping", "Puts charges and payments on the books within seconds."),
}


@never_cache
@require_safe
def status(request: HtmxRequest) -> HttpResponse:
    """Show whether each part of the service works. htmx gets the part that changes."""
    problems = find_problems()
    parts = [
        {"name": name, "words": words, "is_up": part not in problems}
        for part, (name, words) in PARTS.items()
    ]
    template = "storefront/_status.html" if request.htmx else "storefront/status.html"
    return render(request, template, {"parts": parts, "is_up": not problems})
