"""The status page: what `/readyz` knows, in words for customers."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the service and whether it works."""

    name: str
    is_up: bool
    words: str


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show how each part of the service is doing."""
    parts: list[Part] = []
    return render(
        request, "storefront/status.html", {"parts": parts, "is_up": all(p.is_up for p in parts)}
    )
