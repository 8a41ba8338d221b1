"""Which hosts are public, in every spelling that some program accepts."""

import ipaddress
import re
import unicodedata

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Names that belong to a machine or its network, whatever a resolver answers.
_INNER_NAME = re.compile(
    r"(^|\.)(localhost|localdomain|local|internal|intranet|lan|corp|home|private|home\.arpa)$",
    re.IGNORECASE,
)
# Other spellings of IPv4 addresses that systems accept: 127.1, 0x7f.1, 2130706433.
_ODD_NUMBER = re.compile(r"^(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?$", re.IGNORECASE)
# IPv6 addresses with an IPv4 address in their last bits, to which a gateway may forward.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# The same for use within a network (RFC 8215): what is behind it is not known.
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_loopback(ip: IPAddress) -> bool:
    """Tell whether an address is that of the machine itself."""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def is_public(ip: IPAddress) -> bool:
    """Tell whether an address, and any that it carries, belongs to the internet."""
    if ip in _LOCAL_NAT64:
        return False
    return all(one.is_global and not one.is_multicast for one in (ip, *_carried(ip)))


def is_inner_name(host: str) -> bool:
    """Tell whether a name is one of a private network, or an address in an odd spelling."""
    return bool(_INNER_NAME.search(host.rstrip(".")) or _ODD_NUMBER.match(host))


def is_public_host(host: str) -> bool:
    """Tell whether a host may be one of the internet. A name's addresses are not looked up."""
    # Resolvers read full-width digits and ideographic full stops as plain ones.
    plain = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".")
    try:
        return is_public(ipaddress.ip_address(plain.strip("[]")))
    except ValueError:
        # A name of one label is looked up within a network. `%` hides a letter or names a zone.
        return "." in plain and "%" not in plain and ":" not in plain and not is_inner_name(plain)


def _carried(ip: IPAddress) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address stands for (RFC 3056, 4291, 4380, 6052)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64 or ip in _COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]
