"""All that can be exported at the desk, by name."""

from billing.exports.lines import Source
from billing.exports.lists import LISTS
from billing.exports.margins import Margins
from billing.margin.reads import GROUPS

ALL: list[Source] = [*LISTS, *(Margins(by) for by in GROUPS)]
SOURCES = {source.name: source for source in ALL}


def find_source(name: str) -> Source | None:
    """Return what a name such as billing.order means; None if it can't be exported."""
    return SOURCES.get(name)
