"""The addresses that requests may be sent to: public ones, and loopback if a setting allows it.

Base URLs come from staff, but a name can be pointed at an internal address later. So the
resolver's answer is checked as well, each time a connection is opened.
"""

import ipaddress
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from common import outside
from common.addresses import is_inner_name, is_loopback
from common.outside import CheckedResolver
from proxy.errors import InvalidAddress


def is_allowed_address(address: str) -> bool:
    """Tell whether an upstream may have this IP address. Raises ValueError if it is not one."""
    return outside.is_allowed_address(address, loopback=settings.ALLOW_LOOPBACK_PROVIDERS)


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
    is_here = _check_host(host)
    # Once more as the client reads it: it takes an ideographic full stop for a plain one.
    _check_host(_read_by_client(base_url.strip()))
    if parts.scheme == "http" and not is_here:
        raise InvalidAddress("The base URL must be https.")
    return base_url.strip().rstrip("/")


def _read_by_client(base_url: str) -> str:
    """Return the host that a request goes to, in ASCII. Raises InvalidAddress."""
    try:
        return httpx.URL(base_url).raw_host.decode("ascii")
    except httpx.InvalidURL as error:
        raise InvalidAddress(f"The base URL is malformed: {error}.") from error


def _check_host(host: str) -> bool:
    """Tell whether a host is this machine. Raises InvalidAddress if no upstream may be there."""
    try:
        is_allowed = is_allowed_address(host)
        is_here = is_loopback(ipaddress.ip_address(host))
    except ValueError:
        # A name. Its addresses are checked whenever a connection is opened.
        is_here = host.lower() == "localhost"
        is_allowed = settings.ALLOW_LOOPBACK_PROVIDERS if is_here else not is_inner_name(host)
    if not is_allowed:
        raise InvalidAddress(
            "The base URL must not be a private, link-local or loopback address"
            + (" (ALLOW_LOOPBACK_PROVIDERS is off)." if is_here else ".")
        )
    return is_here


class PublicResolver(CheckedResolver):
    """Resolves names, and drops the addresses that no upstream may have."""

    def __init__(self) -> None:
        super().__init__(is_allowed_address)
