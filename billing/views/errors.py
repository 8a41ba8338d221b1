"""Error pages that Django's own views would show without the site's name.

`server_error` must work when nothing else does.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that makes no sense."""
    return render(request, "400.html", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer when we failed. No context processor runs, because one of them may have failed."""
    return HttpResponse(
        render_to_string(
            "500.html",
            {"site_name": settings.SITE_NAME, "support_email": settings.SUPPORT_EMAIL},
        ),
        status=500,
    )
