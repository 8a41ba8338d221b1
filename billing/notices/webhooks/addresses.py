"""The addresses that a webhook may have: public ones over https.

`common/outside.py` has what is checked again whenever a connection is opened.
"""

import ipaddress

from django.conf import settings
from django.utils.translation import gettext
from yarl import URL

from billing.exceptions import WebhookUnfit
from common import outside
from common.addresses import is_loopback, is_public_host


def is_allowed_address(address: str) -> bool:
    """Tell whether a delivery may go to this IP address. Raises ValueError if it is not one."""
    return outside.is_allowed_address(address, loopback=settings.ALLOW_LOOPBACK_WEBHOOKS)


def check_url(text: str) -> URL:
    """Return the address that a delivery may go to, as the client reads it. Raises WebhookUnfit.

    A name's IP addresses are checked whenever a connection is opened.
    """
    try:
        url = URL(text)
        host, _ = url.raw_host, url.port
    except ValueError as error:
        raise WebhookUnfit(gettext("The address is malformed.")) from error
    if url.scheme not in {"https", "http"} or not host:
        raise WebhookUnfit(gettext("The address must look like https://example.com/hook."))
    if url.raw_user or url.raw_password:
        raise WebhookUnfit(gettext("The address must have no user name or password."))
    if settings.ALLOW_LOOPBACK_WEBHOOKS and _is_here(host):
        return url
    if url.scheme == "http":
        raise WebhookUnfit(gettext("The address must begin with https://."))
    if not is_public_host(host):
        raise WebhookUnfit(gettext("The address must be on the internet, not in a network."))
    return url


def _is_here(host: str) -> bool:
    try:
        return is_loopback(ipaddress.ip_address(host))
    except ValueError:
        return host == "localhost"
