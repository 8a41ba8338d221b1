"""The addresses at which an orchestrator or a scraper asks a process how it is doing.

They ask by the process' own address, over plain HTTP, and some name no host at all. So these are
answered before anything looks at the Host header, and nothing in their answers is made of it.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tokenproxy_site.health import healthz, readyz
from tokenproxy_site.metrics import metrics

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


class ProbeMiddleware:
    """Answers probes; everything else goes on to the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a probe, or pass the request on."""
        probe = PROBES.get(request.path_info)
        if probe is None:
            return self._get_response(request)
        response = probe(request)
        # HTTP/1.0, which some load balancers probe with, knows no other end of a body.
        response["Content-Length"] = str(len(response.content))
        return response
