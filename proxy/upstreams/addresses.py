"""The addresses that requests may be sent to: public ones, and loopback if a setting allows it.

Base URLs come from staff, but a name can be pointed at an internal address later. So the
resolver's answer is checked as well, each time a connection is opened.
"""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

from proxy.errors import InvalidAddress

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Names that belong to this machine or its network, whatever a resolver answers.
_INNER_NAME = re.compile(r"(^|\.)(localhost|local|internal|lan|home\.arpa)$", re.IGNORECASE)
# Other spellings of IPv4 addresses that systems accept: 127.1, 0x7f.1, 2130706433.
_ODD_NUMBER = re.compile(r"^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?$", re.IGNORECASE)
# IPv6 addresses with an IPv4 address in their last bits, to which a gateway may forward.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_allowed_address(address: str) -> bool:
    """Tell whether an upstream may have this IP address. Raises ValueError if it is not one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if _is_loopback(ip):
        return bool(settings.ALLOW_LOOPBACK_PROVIDERS)
    return all(one.is_global and not one.is_multicast for one in (ip, *_carried(ip)))


def _is_loopback(ip: IPAddress) -> bool:
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def _carried(ip: IPAddress) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address stands for (RFC 3056, 4291, 4380, 6052)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64 or ip in _COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]


def check_base_url(base_url: str) -> str:
    """Return a base URL that requests may be sent to. Raises InvalidAddress.

    Only https, unless it is this machine and ALLOW_LOOPBACK_PROVIDERS is on; no private or
    link-local address, no credentials, no query.
    """
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidAddress(f"The base URL is malformed: {error}.") from error
    if parts.scheme not in {"https", "http"} or not host:
        raise InvalidAddress("The base URL must look like https://api.example.com/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidAddress("The base URL must have no credentials, query or fragment.")
    is_loopback = _check_host(host)
    if parts.scheme == "http" and not is_loopback:
        raise InvalidAddress("The base URL must be https.")
    return base_url.strip().rstrip("/")


def _check_host(host: str) -> bool:
    """Tell whether a host is this machine. Raises InvalidAddress if no upstream may be there."""
    try:
        is_allowed = is_allowed_address(host)
        is_loopback = _is_loopback(ipaddress.ip_address(host))
    except ValueError:
        # A name. Its addresses are checked whenever a connection is opened.
        is_loopback = host.lower() == "localhost"
        is_inner = _INNER_NAME.search(host.rstrip(".")) or _ODD_NUMBER.match(host)
        is_allowed = settings.ALLOW_LOOPBACK_PROVIDERS if is_loopback else not is_inner
    if not is_allowed:
        raise InvalidAddress(
            "The base URL must not be a private, link-local or loopback address"
            + (" (ALLOW_LOOPBACK_PROVIDERS is off)." if is_loopback else ".")
        )
    return is_loopback


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
