"""The key that the playground's page calls the API with.

A page's script has to hold a secret to call the API, and whoever can run a script in the page can
read it. So it is a secret of its own: it works for an hour, slowly, ends when the next one is lent,
and is kept nowhere but in the page's memory. What it spends has receipts as any key's.
"""

from datetime import timedelta

from django.utils import timezone

from accounts.models import ApiKey, Membership
from billing.keys.api_keys import lend_api_key
from billing.keys.settings import KeySettings

NAME = "Playground"
LIFE = timedelta(hours=1)
# Two models side by side, and a person's hands.
CONCURRENT_REQUESTS = 4
REQUESTS_PER_MINUTE = 30


def lend_key(seat: Membership) -> tuple[ApiKey, str]:
    """Return a member's playground key and its new secret; the one before ends.

    Raises SignedOut, TooManyKeys, NotAMember, NotAllowed, TeamClosed.
    """
    settings = KeySettings(
        expires_at=timezone.now() + LIFE,
        requests_per_minute=REQUESTS_PER_MINUTE,
        concurrent_requests=CONCURRENT_REQUESTS,
    )
    return lend_api_key(seat, name=NAME, settings=settings)
