"""The links in mails about the status. The signature is the right: nobody logs in to follow one.

They name the subscription by a random id, and no address stands in them. Both do something only on
POST, since mail scanners follow links.
"""

from dataclasses import asdict, dataclass

from django.conf import settings
from django.core import signing
from django.urls import reverse

from billing.models.status import LINK_LIFETIME

CONFIRMING = "billing.confirm_status_subscription"
ENDING = "billing.end_status_subscription"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for, which counts once the link to their address was followed."""

    subscription: str
    language: str
    model_names: list[str]


def make_confirming_link(wish: Wish) -> str:
    """Return the address at which a POST confirms a wish, for a few days."""
    signed = signing.dumps(asdict(wish), salt=CONFIRMING, compress=True)
    return settings.SITE_URL + reverse("status-confirm", args=[signed])


def read_confirming_link(signed: str) -> Wish | None:
    """Return the wish of a link; None if we did not make the link, or it has ended."""
    try:
        return Wish(**signing.loads(signed, salt=CONFIRMING, max_age=LINK_LIFETIME))
    except signing.BadSignature:
        return None


def make_ending_link(subscription: str) -> str:
    """Return the address at which a POST ends a subscription, for good."""
    signed = signing.dumps(subscription, salt=ENDING)
    return settings.SITE_URL + reverse("status-unsubscribe", args=[signed])


def read_ending_link(signed: str) -> str | None:
    """Return the subscription's id of a link; None if we did not make the link."""
    try:
        return str(signing.loads(signed, salt=ENDING))
    except signing.BadSignature:
        return None
