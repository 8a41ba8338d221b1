"""What every template may show of the site."""

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, str]:
    """Give templates the site's name, address, API base URL and support address."""
    return {
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "api_base_url": f"{settings.SITE_URL}/v1",
        "support_email": settings.SUPPORT_EMAIL,
    }
