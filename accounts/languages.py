"""In which language a person reads: the one that they chose, else what the browser asks for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from accounts.models import User


def is_offered(language: str) -> bool:
    """Tell whether the site is written in this language."""
    return language in dict(settings.LANGUAGES)


def language_of(request: HttpRequest) -> str:
    """Return the language of a page: of the profile, else of the cookie or the browser."""
    chosen = request.user.language if isinstance(request.user, User) else ""
    return chosen if is_offered(chosen) else translation.get_language_from_request(request)


@contextmanager
def reading(person: User | None) -> Iterator[None]:
    """Write in the language of this person; in English for somebody who is not known."""
    chosen = person.language if person is not None else ""
    with translation.override(chosen if is_offered(chosen) else settings.LANGUAGE_CODE):
        yield


def keep_language(person: User, language: str) -> None:
    """Keep in which language a person reads pages and gets mails."""
    User.objects.filter(pk=person.pk).update(language=language)
    person.language = language
