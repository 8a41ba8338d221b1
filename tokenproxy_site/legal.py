"""The pages of legal texts. Drafts are not there for anybody."""

from datetime import UTC, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.legal import find_text, texts_in_force
from accounts.models import LegalText
from common.markdown import show
from common.staff_texts import in_readers_language

# A reader of security.txt should fetch it anew before it expires.
SECURITY_TXT_DAYS = 90
# What a version can't be beyond: the column's largest number.
MOST_VERSIONS = 2**31 - 1


@require_safe
def texts(request: HttpRequest) -> HttpResponse:
    """List the texts that are in force."""
    return render(request, "legal/texts.html", {"texts": texts_in_force()})


@require_safe
def text(request: HttpRequest, kind: str, version: int | None = None) -> HttpResponse:
    """Show a text as it is in force, or an earlier version."""
    found = None if (version or 0) > MOST_VERSIONS else find_text(kind, version)
    if found is None:
        raise Http404("There is no such text.")
    versions = LegalText.objects.filter(kind=kind, version__isnull=False).order_by("-version")
    words, language = in_readers_language(found, "text")
    context = {
        "text": found,
        "shown": show(words),
        "text_language": language,
        "versions": list(versions.values_list("version", "published_at")),
    }
    return render(request, "legal/text.html", context)


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Say where to write about a hole, as RFC 9116 has it."""
    expires = (timezone.now() + timedelta(days=SECURITY_TXT_DAYS)).astimezone(UTC)
    lines = [
        f"Contact: mailto:{settings.SUPPORT_EMAIL}",
        f"Expires: {expires:%Y-%m-%dT00:00:00Z}",
        "Preferred-Languages: en",
        f"Canonical: {settings.SITE_URL}{reverse('security-txt')}",
    ]
    if find_text(LegalText.Kind.SECURITY):
        lines.append(f"Policy: {settings.SITE_URL}{reverse('legal', args=['security'])}")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
