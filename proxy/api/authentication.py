"""Who calls, and whether that key may: DRF's authentication and permissions, which are awaited.

A hold is refused if its key was changed since it was cached, so views that place one need not ask
beforehand. Every other view asks, and nobody is turned away by what was known seconds ago.
"""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.secrets import digest_of, is_well_formed
from billing.exceptions import RateLimited, WalletError
from proxy.api.handler import ApiRequest
from proxy.errors import AuthenticationFailed
from proxy.serving.keys import KeyCache, KeyFacts
from proxy.serving.standing import check_network, find_standing, is_from_allowed_network

if TYPE_CHECKING:
    from proxy.api.dispatch import ApiView

SCHEME = "Bearer"
# A key is who calls; no person is signed in.
NOBODY = AnonymousUser()

Found = tuple[AnonymousUser, KeyFacts]


class KeyAuthentication(BaseAuthentication):
    """Finds whose key a request was sent with. A look-up may have to wait, so it is awaited."""

    async def authenticate(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request
    ) -> Found:
        """Return nobody in particular, and the key. Raises AuthenticationFailed."""
        sent: ApiRequest = request._request  # type: ignore[assignment]  # served by our handler
        return NOBODY, await find_key(request.META.get("HTTP_AUTHORIZATION", ""), sent.runtime.keys)


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


class KeyStands(BasePermission):
    """The key is in force, and has a turn among the requests that hold nothing."""

    async def has_permission(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request, view: "ApiView"
    ) -> bool:
        """Set where the key stands. Raises AuthenticationFailed, RateLimited."""
        try:
            view.standing = await find_standing(view.runtime, view.connection, view.key)
        except RateLimited:
            raise
        except WalletError:
            # What needs no figures is served by what was known of the key, seconds ago.
            return True
        request.auth = view.standing.key
        return True


class FromAllowedNetwork(BasePermission):
    """The key may be used from where the request comes."""

    async def has_permission(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request, view: "ApiView"
    ) -> bool:
        """Ask again before refusing: it may have been allowed since. Raises NetworkRefused."""
        if is_from_allowed_network(view.key, view.connection):
            return True
        if view.standing is None:
            await KeyStands().has_permission(request, view)
        check_network(view.key, view.connection)
        return True
