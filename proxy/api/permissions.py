"""What a key may do here, as Redis knows it now: DRF's permissions, which are awaited.

A hold is refused if its key was changed since it was cached, so views that place one need not ask
beforehand. Every other view asks, and nobody is turned away by what was known seconds ago.
"""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from billing.exceptions import RateLimited, WalletError
from proxy.serving.standing import check_network, find_standing, is_from_allowed_network

if TYPE_CHECKING:
    from proxy.api.dispatch import ApiView


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
