"""Which team a page is about: the path says it, for every team but the reader's own.

`/teams/<id>/dashboard/` is the dashboard of that team, `/dashboard/` that of one's own. The
prefix is Django's script prefix while a request is answered, so every address that `reverse` makes
keeps it: a form acts on the team of the page that it stands on, whatever other tabs show.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.urls import get_script_prefix, set_script_prefix

from accounts.models import Team, User

PREFIX = re.compile(r"^/teams/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=/)")


def prefix_of(team: Team, reader: User | None) -> str:
    """Return how the addresses of a team's pages begin for this reader, without a last slash."""
    return "" if reader is not None and team.person_id == reader.pk else f"/teams/{team.public_id}"


@contextmanager
def addressing(team: Team | None, reader: User | None) -> Iterator[None]:
    """Let `reverse` make addresses of a team's pages; with None, of the reader's own."""
    with under(prefix_of(team, reader) if team is not None else ""):
        yield


@contextmanager
def under(prefix: str) -> Iterator[None]:
    """Let `reverse` put this before every path."""
    before = get_script_prefix()
    set_script_prefix(f"{prefix}/")
    try:
        yield
    finally:
        set_script_prefix(before)
