"""The lines of a file, as a spreadsheet may have them, and what reads them."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from accounts.models import User
from billing.statements.csv_file import Cell, safe_cell

AnyCell = Cell | Decimal
Line = Sequence[AnyCell]


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines, the id that they end at, and whether these were the last."""

    lines: Iterable[Line]
    reached_id: int
    is_last: bool


class Reading(Protocol):
    """What an export reads: the titles of its columns, and its lines by falling ids."""

    @property
    def titles(self) -> Line: ...

    def part(self, below: int, most: int) -> Part:
        """Return the lines below an id, of so many rows at most."""


class Source(Protocol):
    """Something at the desk that can be exported."""

    @property
    def name(self) -> str:
        """Return what an export keeps, such as billing.order."""

    @property
    def title(self) -> str:
        """Return what staff read."""

    @property
    def rows_a_part(self) -> int:
        """Return how many rows a part has at most."""

    def rights_for(self, user: User) -> list[str]:
        """Return the rights that an export takes which a person starts; they may lack some."""

    def page_url(self, query: str) -> str:
        """Return where the page with these filters is."""

    def clean(self, query: str) -> str:
        """Return what of an address chooses rows. Raises IncorrectLookupParameters."""

    def bounds(self) -> tuple[int, int]:
        """Return the highest and the lowest id that there is, 0 without any."""

    def read(self, query: str, user: User, rights: Sequence[str]) -> Reading:
        """Return what is read. Raises IncorrectLookupParameters, ExportRefused."""


def write_lines(lines: Iterable[Line]) -> tuple[bytes, int]:
    """Return lines as CSV, and how many there are."""
    text, count = io.StringIO(newline=""), 0
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    for line in lines:
        writer.writerow([_safe(cell) for cell in line])
        count += 1
    return text.getvalue().encode(), count


def _safe(cell: AnyCell) -> Cell:
    # Not 1E-9, which not every program reads.
    return f"{cell:f}" if isinstance(cell, Decimal) else safe_cell(cell)


def write_titles(titles: Line) -> bytes:
    """Return the first line, with the byte order mark that Excel needs."""
    text, _ = write_lines([titles])
    return "\ufeff".encode() + text


def to_cell(value: Any) -> AnyCell:
    """Return a value as a cell: numbers as they are, instants in UTC to the second."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    return str(value)
