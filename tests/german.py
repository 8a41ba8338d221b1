"""Finds English that a German reader meets: on a page, after a form, in a mail."""

import re
from functools import cache
from html.parser import HTMLParser

from babel.messages.pofile import read_po
from django.conf import settings

# Words that every English sentence has some of, and German has not.
ENGLISH = re.compile(
    r"\b(the|is|are|you|your|this|that|of|and|to|it|its|with|for|from|please|nothing|has|have|been"
    r"|which|not yet|hour|day|week|can't|isn't|doesn't|must|should|value|field|required|never)\b"
)
NEVER_READ = {"script", "style", "code", "pre", "bdi", "option", "time"}
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "use"}


class Texts(HTMLParser):
    """Collects what a reader of a German page sees, and what is read out to them.

    What is marked as English (`lang="en"`) is none of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._open: list[tuple[str, bool]] = []

    @property
    def _is_hidden(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_foreign = tag != "html" and given.get("lang") not in (None, "de")
        is_hidden = self._is_hidden or tag in NEVER_READ or is_foreign
        if tag not in VOID:
            self._open.append((tag, is_hidden))
        if not is_hidden:
            self.found |= {
                " ".join(words.split())
                for name, words in given.items()
                if words and (name in {"aria-label", "title", "placeholder", "alt"})
            }

    def handle_endtag(self, tag: str) -> None:
        while any(each == tag for each, _ in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if not self._is_hidden and data.strip():
            self.found.add(" ".join(data.split()))


def texts_of(page: str) -> set[str]:
    parser = Texts()
    parser.feed(page)
    return parser.found


@cache
def translated() -> frozenset[str]:
    """Return each English text that is another one in German."""
    path = settings.BASE_DIR / "locale" / "de" / "LC_MESSAGES" / "django.po"
    with path.open("rb") as file:
        return frozenset(
            str(source).strip()
            for each in read_po(file)
            for source, german in zip(_both(each.id), _both(each.string), strict=True)
            if source and source != german
        )


def _both(words: object) -> list[str]:
    return list(words) if isinstance(words, tuple | list) else [str(words or "")]


def english_in(texts: set[str]) -> list[str]:
    """Return the texts that are English: by a word that only English has, or by the catalogue."""
    return sorted(text for text in texts if ENGLISH.search(text.lower()) or text in translated())
