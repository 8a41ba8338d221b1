"""Compress pages, styles and scripts on their way out. The API does not pass here.

A page holds secrets (a masked CSRF token, once a new key) beside what its address brings, and its
length could betray them to who may ask for it again and again (BREACH). Django's middleware adds
up to 100 random bytes to each answer against that, and masks the token anew each time.
"""

from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

# Of what is sent here; fonts, PDF and archives are compressed already.
COMPRESSIBLE = (
    "text/",
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/vnd.oai.openapi",
    "image/svg+xml",
)


class CompressionMiddleware(GZipMiddleware):
    """Compresses what gets smaller by it. What collectstatic has compressed is left as it is."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Compress the whole of a text, if the client reads gzip."""
        # A range is one of the file as it is.
        if response.status_code == 206 or not is_compressible(response):
            return response
        return super().process_response(request, response)


def is_compressible(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith(COMPRESSIBLE)
