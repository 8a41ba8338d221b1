"""What every template may show of the site."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Membership, User
from accounts.teams.members import own_seat


def site(request: HttpRequest) -> dict[str, object]:
    """Give templates the site's name, address, API base URL, support address and languages."""
    return {
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "api_base_url": f"{settings.SITE_URL}/v1",
        "support_email": settings.SUPPORT_EMAIL,
        "site_languages": settings.LANGUAGES,
    }


def team(request: HttpRequest) -> dict[str, object]:
    """Give templates the reader's membership of the team that the page is about, read if asked for.

    `seat` is false for visitors.
    """
    return {"seat": SimpleLazyObject(lambda: _find_seat(request))}


def _find_seat(request: HttpRequest) -> Membership | None:
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return None
    return getattr(request, "seat", None) or own_seat(user)
