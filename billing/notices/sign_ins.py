"""The browsers and networks that customers sign in from; a new one causes a mail."""

import hashlib
import secrets

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from billing.models import SignIn
from billing.notices.security import notify_new_sign_in
from common.client_networks import SITE_IPV6_BITS, network_of

# Nobody needs more; the oldest are deleted, so that the table stays small.
MOST_KNOWN = 50

# Marks of browsers and systems in a user agent; the first that is found counts. Chrome's text also
# names Safari, and Edge's and Opera's also name Chrome.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def make_device_id() -> str:
    """Return a new random id for a browser to keep in a cookie."""
    return secrets.token_urlsafe(24)


def is_known_device(email: str, device_id: str) -> bool:
    """Tell whether somebody signed in to this account from the browser with this cookie."""
    known = SignIn.objects.filter(user__email=email, device_digest=_digest(device_id))
    return bool(device_id) and known.exists()


def remember_device(user: User, *, device_id: str, user_agent: str, address: str) -> None:
    """Know a browser from now on, without a mail: its user has just read one."""
    now = timezone.now()
    seen = {"device_name": name_device(user_agent), "last_at": now}
    SignIn.objects.update_or_create(
        user=user,
        device_digest=_digest(device_id),
        network=network_of(address, ipv6_bits=SITE_IPV6_BITS),
        defaults=seen,
        create_defaults={**seen, "first_at": now},
    )


@transaction.atomic
def note_sign_in(user: User, *, device_id: str, user_agent: str, address: str) -> bool:
    """Note the browser and network of a sign-in, and mail the customer if new. True if it was.

    Not new are a known browser on any network, and the same kind of browser on a known network.
    The first sign-in of an account is not new either. Safe to race: one user's sign-ins wait for
    each other.
    """
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    now = timezone.now()
    digest = _digest(device_id)
    device_name, network = name_device(user_agent), network_of(address, ipv6_bits=SITE_IPV6_BITS)
    known = SignIn.objects.filter(user=user)
    is_familiar = known.filter(
        Q(device_digest=digest) | Q(device_name=device_name, network=network)
    ).exists()
    is_new = not is_familiar and known.exists()
    seen, _ = SignIn.objects.update_or_create(
        user=user,
        device_digest=digest,
        network=network,
        defaults={"device_name": device_name, "last_at": now},
        create_defaults={"device_name": device_name, "first_at": now, "last_at": now},
    )
    _forget_oldest(user)
    if is_new:
        notify_new_sign_in(
            user,
            reference=f"sign-in:{seen.pk}",
            device_name=device_name,
            address=address,
            at=now,
        )
    return is_new


def name_device(user_agent: str) -> str:
    """Return a browser's name for customers, such as "Firefox on Linux"."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS if mark in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "An unknown program"


def _digest(device_id: str) -> str:
    return hashlib.sha256(device_id.encode("utf-8", "surrogatepass")).hexdigest()


def _forget_oldest(user: User) -> None:
    kept = SignIn.objects.filter(user=user).order_by("-last_at", "-pk")[:MOST_KNOWN]
    SignIn.objects.filter(user=user).exclude(
        pk__in=list(kept.values_list("pk", flat=True))
    ).delete()
