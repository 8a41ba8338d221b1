"""Who is at the desk, for the audit trail."""

from typing import cast

from django.http import HttpRequest

from accounts.audit import Doer
from accounts.models import User
from common.client_networks import SITE_IPV6_BITS, network_of


def doer_of(request: HttpRequest) -> Doer:
    """Return the member of staff who asks, and the network that they ask from."""
    address = request.META.get("REMOTE_ADDR", "")
    return Doer(
        actor=cast(User, request.user), network=network_of(address, ipv6_bits=SITE_IPV6_BITS)
    )
