"""The documentation as pages, as Markdown, and as lists for language models."""

from itertools import groupby

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.views.decorators.http import require_safe

from accounts.api_keys import keys_of, usable_keys
from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from tokenproxy_site.docs.pages import BY_SLUG, FIRST, PAGES, Page
from tokenproxy_site.docs.reference import read_reference
from tokenproxy_site.docs.search import MOST_CHARACTERS, search

PLAIN = "text/plain; charset=utf-8"
MARKDOWN = "text/markdown; charset=utf-8"


@require_safe
def first(request: HttpRequest) -> HttpResponse:
    """Show the first page, which names all others."""
    return _show(request, FIRST)


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one page, with the ones before and after it."""
    found = _find(slug)
    return redirect("docs") if found is FIRST else _show(request, found)


def _show(request: HttpRequest, shown: Page) -> HttpResponse:
    place = PAGES.index(shown)
    context = {
        "page": shown,
        "text": shown.show(),
        "groups": _groups(),
        "before": PAGES[place - 1] if place else None,
        "after": PAGES[place + 1] if place + 1 < len(PAGES) else None,
        "moved": [each for each in PAGES if each.anchors] if shown is FIRST else [],
        "key": _newest_key(request),
        "most_characters": MOST_CHARACTERS,
    }
    return render(request, "docs/page.html", context)


def _newest_key(request: HttpRequest) -> ApiKey | None:
    """Return the reader's newest key that works, so that they know which secret to look for."""
    if not isinstance(request.user, User):
        return None
    seat = getattr(request, "seat", None) or own_seat(request.user)
    usable = usable_keys(seat.team, at=timezone.now())
    return keys_of(seat).filter(pk__in=usable, created_by=request.user, is_playground=False).first()


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show every endpoint with its fields and answers, by our schema."""
    return render(request, "docs/reference.html", {"groups": read_reference()})


@require_safe
def look(request: HttpRequest) -> HttpResponse:
    """Show where the documentation has the words that are asked for."""
    query = " ".join(request.GET.get("q", "").split())
    is_too_long = len(query) > MOST_CHARACTERS
    context = {
        "query": query[:MOST_CHARACTERS],
        "found": [] if is_too_long else search(query),
        "is_too_long": is_too_long,
        "groups": _groups(),
        "most_characters": MOST_CHARACTERS,
    }
    return render(request, "docs/search.html", context, status=400 if is_too_long else 200)


@require_safe
def markdown(request: HttpRequest, slug: str) -> HttpResponse:
    """Answer with one page as it was written."""
    return HttpResponse(_find(slug).write_whole(), content_type=MARKDOWN)


@require_safe
@translation.override("en")
def llms(request: HttpRequest) -> HttpResponse:
    """List the pages for programs that read them (llmstxt.org), whatever their reader speaks."""
    context = {"groups": _groups(), "site": settings.SITE_URL}
    return render(request, "docs/llms.txt", context, content_type=PLAIN)


@require_safe
@translation.override("en")
def llms_full(request: HttpRequest) -> HttpResponse:
    """Answer with all pages in one, in English."""
    text = "\n".join(each.write_whole() for each in PAGES)
    return HttpResponse(text, content_type=PLAIN)


def _groups() -> list[tuple[str, list[Page]]]:
    return [(name, list(pages)) for name, pages in groupby(PAGES, key=lambda page: page.group)]


def _find(slug: str) -> Page:
    if slug not in BY_SLUG:
        raise Http404("No such page.")
    return BY_SLUG[slug]
