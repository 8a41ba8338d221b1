"""The documentation of the API."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Role
from accounts.teams.roles import described_roles


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show the documentation, with this site's own addresses and limits."""
    context = {
        "role_words": described_roles(Role),
        "requests_per_minute": settings.DEFAULT_REQUESTS_PER_MINUTE,
        "grace_s": settings.CLIENT_LEFT_GRACE_S,
        "reasoning_s": settings.REASONING_DRAIN_S,
        "slow_reader_s": settings.SLOW_READER_S,
        "idempotency_minutes": settings.IDEMPOTENCY_KEEP_S // 60,
        "idempotency_kilobytes": settings.IDEMPOTENCY_MAX_BYTES // 1024,
    }
    return render(request, "docs/index.html", context)
