"""Which addresses requests may be sent to: public ones, and loopback only where a setting says so.

Base URLs come from staff, yet a name can be pointed at an inner address later; so the answer of
the resolver is checked too, each time a connection is opened.
"""

import ipaddress
import socket

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings


def is_allowed_address(address: str) -> bool:
    """Tell whether an upstream may live at this IP address. Raises ValueError if it is none."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return bool(settings.ALLOW_LOOPBACK_PROVIDERS)
    return ip.is_global and not ip.is_multicast


class PublicResolver(AbstractResolver):
    """Resolves names, and drops the addresses that no upstream may have."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses of a name. Raises OSError if there is none."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if is_allowed_address(result["host"])]
        if not allowed:
            raise OSError("The name has no address that an upstream may have.")
        return allowed

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._resolver.close()
