"""A client's address and protocol, as far as TRUSTED_PROXIES report them.

Each proxy appends the address of its caller to X-Forwarded-For. So the header is read from its
end, for as long as the writer of an entry is one of TRUSTED_PROXIES; entries that a client sends
are further to the left and are never reached.

uvicorn can do this itself, but believes every caller on its own machine: it must be started with
`--no-proxy-headers`, or a local client chooses its address.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from django.conf import settings

from proxy.http.connection import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Pages see this header only if a trusted proxy sent it.
PROTOCOL = b"x-forwarded-proto"
# W3C's header of the trace that a request belongs to.
TRACE = b"traceparent"
# Other headers that report a client's address. Pages get `client` instead: the log lines and limits
# of libraries would believe these headers from any sender.
FORWARDING = re.compile(
    rb"x-forwarded(-.+)?|forwarded(-.+)?|via|((x|true|fastly|cf)-)?(cluster-)?"
    rb"(client|real|connecting)-ip"
)


def client_address(scope: Scope) -> Address | None:
    """Return the address of a request's client; None if it can't be known."""
    client = scope.get("client")
    address = parse_address(client[0]) if client else None
    trusted: Sequence[Network] = settings.TRUSTED_PROXIES
    if not trusted:
        return address
    for entry in reversed(_forwarded(scope)):
        if address is None or not is_within(address, trusted):
            break
        address = parse_address(entry)
    return address


def with_client_address(scope: Scope) -> Scope:
    """Return a page's scope with the client's address as `client`, the one thing that pages read.

    If the address can't be known, the proxy's stays: a limit is then shared rather than evaded.
    Of the forwarding headers only X-Forwarded-Proto stays, if a trusted proxy sent it.
    """
    peer, address = scope.get("client"), client_address(scope)
    believed = {**scope, "headers": _without_forwarding(scope)}
    if peer is None or address is None:
        return believed
    return {**believed, "client": (str(address), peer[1])}


def is_encrypted(scope: Scope) -> bool:
    """Tell whether a request came by TLS: to this process, or to a trusted proxy."""
    if scope.get("scheme") == "https":
        return True
    return _is_from_a_trusted_proxy(scope) and (PROTOCOL, b"https") in scope["headers"]


def trace_of_caller(scope: Scope) -> str:
    """Return the `traceparent` of a trusted proxy; "" if there is none, or several.

    A client that chooses it could join a trace of somebody else's, or have every request traced.
    """
    found: list[bytes] = [value for name, value in scope["headers"] if name == TRACE]
    if len(found) != 1 or not _is_from_a_trusted_proxy(scope):
        return ""
    return found[0].decode("latin-1")


def _without_forwarding(scope: Scope) -> list[tuple[bytes, bytes]]:
    is_trusted = _is_from_a_trusted_proxy(scope)
    return [
        (name, value)
        for name, value in scope["headers"]
        if not FORWARDING.fullmatch(name) or (name == PROTOCOL and is_trusted)
    ]


def _is_from_a_trusted_proxy(scope: Scope) -> bool:
    client = scope.get("client")
    address = parse_address(client[0]) if client else None
    return address is not None and is_within(address, settings.TRUSTED_PROXIES)


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of these networks."""
    return any(address in network for network in networks)


def parse_address(text: str) -> Address | None:
    """Read an address, with or without a port; None if the text is not one."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket for both families reports an IPv4 client as a mapped IPv6 address.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _forwarded(scope: Scope) -> list[str]:
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return b",".join(lines).decode("latin-1").split(",") if lines else []
