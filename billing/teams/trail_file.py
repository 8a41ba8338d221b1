"""The audit trail of a team as a table for spreadsheets."""

import csv
import io
import json
import tempfile
from typing import IO

from django.db.models import QuerySet

from accounts.models import TeamEvent
from accounts.teams.trail import whom
from billing.statements.csv_file import safe_cell

HEADER = ("Time (UTC)", "Who", "Did", "Whom or what", "Before", "After")
# Kept in memory up to this size, and on the disk beyond.
MOST_BYTES_IN_MEMORY = 8 * 1024 * 1024


def write_trail(events: QuerySet[TeamEvent]) -> IO[bytes]:
    """Return the events as CSV, in UTF-8 with the byte order mark that Excel needs.

    The caller closes it.
    """
    file = tempfile.SpooledTemporaryFile(MOST_BYTES_IN_MEMORY)  # noqa: SIM115 - the caller closes
    text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(HEADER)
    for event in events.iterator(chunk_size=2_000):
        writer.writerow([safe_cell(cell) for cell in _row(event)])
    text.detach()
    file.seek(0)
    return file


def _row(event: TeamEvent) -> tuple[str, ...]:
    return (
        f"{event.at:%Y-%m-%d %H:%M:%S}",
        str(event.actor or ""),
        event.get_action_display(),
        whom(event),
        _facts(event.before),
        _facts(event.after),
    )


def _facts(facts: dict[str, object]) -> str:
    return json.dumps(facts, ensure_ascii=False) if facts else ""
