"""The paths at which an orchestrator or a scraper asks for the state of a process.

They use the process's own address, over plain HTTP, and some send no Host header at all. So probes
are answered before anything reads the Host header, and nothing in an answer depends on it.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tokenproxy_site.health import READINESS, healthz
from tokenproxy_site.metrics.web import metrics

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    **READINESS,
    "/metrics": metrics,
}


class ProbeMiddleware:
    """Answers probes, and passes other requests on to the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a probe, or pass the request on."""
        probe = PROBES.get(request.path_info)
        if probe is None:
            return self._get_response(request)
        response = probe(request)
        # Some load balancers probe with HTTP/1.0, which has no other mark of a body's end.
        response["Content-Length"] = str(len(response.content))
        return response
