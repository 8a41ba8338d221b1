"""The documentation of the API."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show the documentation, with this site's own addresses and limits."""
    context = {
        "requests_per_minute": settings.DEFAULT_REQUESTS_PER_MINUTE,
        "grace_s": settings.CLIENT_LEFT_GRACE_S,
    }
    return render(request, "docs/index.html", context)
