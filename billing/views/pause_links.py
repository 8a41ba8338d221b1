"""Pause an API key by a signed link, without logging in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from billing.keys.api_keys import pause_api_key
from billing.notices.pause_links import find_key_to_pause


# Whoever has the link may pause the key by a program, too: no cookie is its right.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pause(request: HttpRequest, signed: str) -> HttpResponse:
    """Ask for confirmation, and on POST pause the key of the link."""
    key = find_key_to_pause(signed)
    if key is None:
        return render(request, "dashboard/pause_link.html", {}, status=404)
    if request.method == "POST":
        pause_api_key(key)
        key.refresh_from_db()
    return render(request, "dashboard/pause_link.html", {"key": key})
