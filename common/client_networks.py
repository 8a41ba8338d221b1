"""The network of a client's address, which is counted and compared instead of the address."""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

# The bits before the IPv4 address in a mapped IPv6 address: RFC 4291, 2.5.5.2.
MAPPED_BITS = 96
UNKNOWN = "unknown"
# A usual size of the networks that providers of IPv4 hand out.
IPV4_BITS = 24
# A customer with IPv6 has a network of at least this size.
HOME_IPV6_BITS = 64
# The network that a provider of IPv6 gives a company, or from which a home gets changing ones.
SITE_IPV6_BITS = 48


def client_network(address: str) -> str | None:
    """Return a client's IPv4 address, or the first address of its IPv6 network.

    None if it is no address, as behind a proxy that names none: there is nothing to count by.
    """
    ip = _parse(address)
    if ip is None:
        return None
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip_network((ip, HOME_IPV6_BITS), strict=False).network_address)


def read_network(text: str, *, strict: bool = True) -> IPv4Network | IPv6Network:
    """Return a network, an IPv4 one if it is written as IPv6 (`::ffff:192.0.2.0/120`).

    Clients' addresses are read so, and would be in no network that is written otherwise. Raises
    ValueError.
    """
    network = ip_network(text, strict=strict)
    if isinstance(network, IPv4Network) or network.prefixlen < MAPPED_BITS:
        return network
    mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def network_of(address: str, *, ipv6_bits: int) -> str:
    """Return an address's network, such as 203.0.113.0/24; "unknown" if it is no address."""
    ip = _parse(address)
    if ip is None:
        return UNKNOWN
    bits = IPV4_BITS if isinstance(ip, IPv4Address) else ipv6_bits
    return str(ip_network((ip, bits), strict=False))


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        # Without the zone of a link-local address (`fe80::1%eth0`).
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip
