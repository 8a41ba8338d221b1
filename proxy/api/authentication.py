"""DRF's authentication and permissions for API keys, as coroutines.

A hold is refused if its key was changed since it was cached, so a view that places one need not
check the key first. Every other view asks Redis, so that no key is refused on cached facts.
"""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.secrets import digest_of, is_well_formed
from billing.exceptions import RateLimited, WalletError
from common.request_lines import note_request
from proxy.api.handler import ApiRequest
from proxy.errors import AuthenticationFailed
from proxy.http.client_address import client_address
from proxy.http.connection import Scope
from proxy.serving.keys import EndedKey, KeyCache, KeyFacts
from proxy.serving.standing import (
    check_network,
    find_standing,
    is_from_allowed_network,
)

if TYPE_CHECKING:
    from proxy.api.dispatch import ApiView

SCHEME = "Bearer"

Found = tuple[AnonymousUser, KeyFacts]


class KeyAuthentication(BaseAuthentication):
    """Finds the API key of a request. A coroutine, because the look-up may read PostgreSQL."""

    async def authenticate(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request
    ) -> Found:
        """Return an anonymous user and the key. Raises AuthenticationFailed."""
        assert isinstance(request, ApiRequest)  # noqa: S101  # served by our handler
        authorization, scope = request.connection.header(b"authorization"), request.connection.scope
        key = await find_key(authorization, request.runtime.keys, scope)
        if isinstance(key, EndedKey):
            note_request(scope, api_key_id=key.api_key_id, wallet_id=key.wallet_id)
            request.runtime.refusals.note(key, status=AuthenticationFailed.status, code=key.why)
            raise AuthenticationFailed(ended=key.why)
        return request.user, key


async def find_key(authorization: str, keys: KeyCache, scope: Scope) -> KeyFacts | EndedKey:
    """Return the key of an Authorization header.

    Raises AuthenticationFailed, OperationalError.

    The checksum refuses a secret with a typo, so only a well-formed one is looked up.
    """
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if not secret or scheme.lower() != SCHEME.lower():
        raise AuthenticationFailed("You didn't provide an API key.")
    facts = None
    if is_well_formed(secret):
        facts = await keys.find(digest_of(secret), lambda: client_address(scope))
    if facts is None:
        raise AuthenticationFailed
    return facts


class KeyStands(BasePermission):
    """The key is in force and within the limit of its inquiries per minute."""

    async def has_permission(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request, view: "ApiView"
    ) -> bool:
        """Set the view's `standing`. Raises AuthenticationFailed, RateLimited."""
        view.has_asked = True
        try:
            view.standing = await find_standing(view.runtime, view.connection, view.key)
        except RateLimited:
            raise
        except WalletError:
            # A view that needs no figures goes by the cached key, which is at most seconds old.
            return True
        request.auth = view.standing.key
        return True


class FromAllowedNetwork(BasePermission):
    """The key may be used from the client's address."""

    async def has_permission(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: Request, view: "ApiView"
    ) -> bool:
        """Read the key again before refusing it: it may have changed. Raises NetworkRefused."""
        if is_from_allowed_network(view.key, view.connection):
            return True
        # A Redis that hangs is waited for once.
        if not view.has_asked:
            await KeyStands().has_permission(request, view)
        check_network(view.key, view.connection)
        return True
