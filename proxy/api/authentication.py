"""Who calls: the API key in the Authorization header."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.secrets import digest_of, is_well_formed
from proxy.api.handler import ApiRequest
from proxy.errors import AuthenticationFailed
from proxy.serving.keys import KeyCache, KeyFacts

SCHEME = "Bearer"

Found = tuple[AnonymousUser, KeyFacts]


class KeyAuthentication(BaseAuthentication):
    """Finds whose key a request was sent with. A look-up may have to wait, so it is awaited."""

    async def authenticate(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request
    ) -> Found:
        """Return nobody in particular, and the key. Raises AuthenticationFailed."""
        sent: ApiRequest = request._request  # type: ignore[assignment]  # served by our handler
        return AnonymousUser(), await find_key(
            request.META.get("HTTP_AUTHORIZATION", ""), sent.runtime.keys
        )

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return SCHEME


async def find_key(authorization: str, keys: KeyCache) -> KeyFacts:
    """Return the key that a header names. Raises AuthenticationFailed.

    A secret with a typo is refused by its checksum; only a well-formed one is looked up.
    """
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if not secret or scheme.lower() != SCHEME.lower():
        raise AuthenticationFailed("You didn't provide an API key.")
    facts = await keys.find(digest_of(secret)) if is_well_formed(secret) else None
    if facts is None:
        raise AuthenticationFailed
    return facts
