"""Where requests may go whose address others chose: to the internet, not into our own network.

A name can be pointed at an inner address after it was checked. So the resolver's answer is checked
as well, each time a connection is opened, and the connection goes to the addresses that passed.
"""

import ipaddress
import socket
from collections.abc import Callable

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from common.addresses import is_loopback, is_public


class NoAllowedAddress(OSError):
    """A name has no address to which a request may go."""


def is_allowed_address(address: str, *, loopback: bool) -> bool:
    """Tell whether a request may go to this IP address. Raises ValueError if it is not one.

    `loopback` says whether to this machine, too.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    return loopback if is_loopback(ip) else is_public(ip)


class CheckedResolver(AbstractResolver):
    """Resolves names, and drops the addresses to which no request may go."""

    def __init__(self, is_allowed: Callable[[str], bool]) -> None:
        self._is_allowed = is_allowed
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses of a name. Raises OSError."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._is_allowed(result["host"])]
        if not allowed:
            raise NoAllowedAddress("The name has no address to which a request may go.")
        return allowed

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._resolver.close()
