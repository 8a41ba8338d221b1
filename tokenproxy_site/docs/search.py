"""Search over the documentation, without anybody else's service and without scripts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from common.markdown import Section
from tokenproxy_site.docs.pages import PAGES, Page

MOST_CHARACTERS = 80
MOST_FOUND = 20
# Around the first word that is found.
_BEFORE, _AFTER = 60, 140
# A word in a title says more than in the text.
_TITLE_WEIGHT, _MOST_COUNTED = 10, 5


@dataclass(frozen=True)
class Found:
    """A section that has every word; the excerpt is in pieces, each a match or not."""

    page: Page
    section: Section
    excerpt: list[tuple[str, bool]]

    @property
    def path(self) -> str:
        """Where it is read."""
        return f"{self.page.path}#{self.section.anchor}" if self.section.anchor else self.page.path


def search(query: str) -> list[Found]:
    """Return the sections that have every word of the query, best first."""
    words = query.casefold().split()
    if not words:
        return []
    rated = [
        (rating, page, section)
        for page in PAGES
        for section in page.show().sections
        if (rating := _rate(page, section, words))
    ]
    # Stable: what is rated alike stays in the order of reading.
    rated.sort(key=lambda each: -each[0])
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    return [
        Found(page, section, list(_excerpt(section, pattern)))
        for _, page, section in rated[:MOST_FOUND]
    ]


def _rate(page: Page, section: Section, words: list[str]) -> int:
    # The part before the first heading speaks for its page.
    title = (section.title or f"{page.title} {page.summary}").casefold()
    text = section.words.casefold()
    ratings = [
        _TITLE_WEIGHT * (word in title) + min(text.count(word), _MOST_COUNTED) for word in words
    ]
    return sum(ratings) if all(ratings) else 0


def _excerpt(section: Section, pattern: "re.Pattern[str]") -> Iterator[tuple[str, bool]]:
    found = pattern.search(section.words)
    start = max(0, found.start() - _BEFORE) if found else 0
    # Not in the middle of a word.
    start = section.words.find(" ", start) + 1 if start else 0
    text = section.words[start : start + _BEFORE + _AFTER]
    end = 0
    if start:
        yield "… ", False
    for match in pattern.finditer(text):
        yield text[end : match.start()], False
        yield match[0], True
        end = match.end()
    yield text[end:], False
    if len(section.words) > start + len(text):
        yield " …", False
