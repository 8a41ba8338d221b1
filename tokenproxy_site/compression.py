"""Compress pages, styles and scripts on their way out. The API does not pass here.

A page holds secrets (a masked CSRF token, once a new key) beside what its address brings, and its
length could betray them to who may ask for it again and again (BREACH). Django's middleware adds
up to 100 random bytes to each answer against that, and masks the token anew each time.
"""

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
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
        if not (isinstance(response, StreamingHttpResponse) and response.is_async):
            return super().process_response(request, response)
        chunks = cast(AsyncIterable[bytes], response.streaming_content)
        super().process_response(request, response)
        if response.get("Content-Encoding") == "gzip":
            response.streaming_content = compress(chunks)
        return response


def is_compressible(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith(COMPRESSIBLE)


async def compress(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Compress a stream as one member of gzip, and send each chunk on at once.

    Django makes a member of each chunk, and browsers read the first one alone: of a long table
    they kept the line with the titles. A file holds no secrets of a page, so it gets no random
    bytes.
    """
    gzip = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    async for chunk in chunks:
        yield gzip.compress(chunk) + gzip.flush(zlib.Z_SYNC_FLUSH)
    yield gzip.flush()
