"""The network behind a client's address: what is counted and compared instead of the address."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

UNKNOWN = "unknown"
# As providers of IPv4 hand them out.
IPV4_BITS = 24
# A customer of IPv6 has at least this network of addresses.
HOME_IPV6_BITS = 64
# What providers of IPv6 give a company, or move a home about in.
SITE_IPV6_BITS = 48


def client_network(address: str) -> str | None:
    """Return what one client comes from: its IPv4 address, or the first of its IPv6 network.

    None if the address is none, as behind a proxy that names none: there is nothing to count by.
    """
    ip = _parse(address)
    if ip is None:
        return None
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip_network((ip, HOME_IPV6_BITS), strict=False).network_address)


def network_of(address: str, *, ipv6_bits: int) -> str:
    """Return the network around an address, such as 203.0.113.0/24; "unknown" if it is none."""
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
