"""Start an export, write it part by part, stop it, read it.

Each part is one transaction with the id that it ended at, under the lock of the export's row. So it
may be written by one worker after another, by several at once, and stopped between two parts.
"""

import zlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import User
from billing.exceptions import ExportRefused
from billing.exports.lines import write_lines, write_titles
from billing.exports.sources import find_source
from billing.models import Export, ExportPart, Notice
from billing.notices.notify import notify

log = structlog.get_logger(__name__)

State = Export.State
# Of one person at once.
MOST_OPEN = 3
MEGABYTE = 1_000_000
# As long as the column.
MOST_QUERY = 2_000


@transaction.atomic
def start_export(user: User, table: str, query: str) -> Export:
    """Note an export of the rows that there are now. A worker writes it.

    Raises ExportRefused, IncorrectLookupParameters.
    """
    source = find_source(table)
    if source is None or not user.has_perms(rights := source.rights_for(user)):
        raise ExportRefused("You may not export this list.")
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if Export.objects.filter(asked_by=user, state=State.WRITING).count() >= MOST_OPEN:
        raise ExportRefused(f"{MOST_OPEN} exports of yours are being written: stop one, or wait.")
    query = source.clean(query)
    if len(query) > MOST_QUERY:
        raise ExportRefused("These are too many filters for an export.")
    first, last = source.bounds()
    return Export.objects.create(
        table=table,
        query=query,
        rights=rights,
        asked_by=user,
        first_id=first,
        last_id=last,
        reached_id=first + 1,
        expires_at=timezone.now() + timedelta(days=settings.EXPORT_DAYS),
    )


def write_exports(*, chunk: int | None = None) -> int:
    """Write the exports that are asked for, a part of each in turn. Returns how many parts."""
    written = 0
    while ids := list(Export.objects.filter(state=State.WRITING).values_list("pk", flat=True)):
        parts = sum(_write_or_fail(export_id, chunk) for export_id in ids)
        if not parts:
            break
        written += parts
    return written


def _write_or_fail(export_id: int, chunk: int | None) -> bool:
    try:
        return _write_part(export_id, chunk)
    except ExportRefused as error:
        _end(export_id, State.FAILED, str(error))
        return False
    except (DatabaseError, ValueError, LookupError, IncorrectLookupParameters) as error:
        # A statement that takes too long, or filters that a release knows no more.
        log.warning("export_failed", export_id=export_id, error=str(error))
        _end(export_id, State.FAILED, "It could not be read: choose fewer rows by its filters.")
        return False


@transaction.atomic
def _write_part(export_id: int, chunk: int | None) -> bool:
    """Write the next part, unless another worker does. Tell whether one was written."""
    export = (
        Export.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("asked_by")
        .filter(pk=export_id, state=State.WRITING)
        .first()
    )
    if export is None:
        return False
    if not export.asked_by.is_active or not export.asked_by.has_perms(export.rights):
        _note_end(export, State.FAILED, "Who asked for it may not read this any more.")
        return False
    source = find_source(export.table)
    if source is None:
        _note_end(export, State.FAILED, "This version exports no such list.")
        return False
    reading = source.read(export.query, export.asked_by, export.rights)
    part = reading.part(export.reached_id, chunk or source.rows_a_part)
    number = export.parts.count()
    text, count = write_lines(part.lines)
    content = zlib.compress(text if number else write_titles(reading.titles) + text)
    ExportPart.objects.create(export=export, number=number, content=content)
    export.rows_written += count
    export.kept_bytes += len(content)
    export.reached_id = part.reached_id
    export.save(update_fields=["rows_written", "kept_bytes", "reached_id"])
    if export.kept_bytes > settings.EXPORT_MEGABYTES * MEGABYTE:
        problem = f"It is longer than {settings.EXPORT_MEGABYTES} MB: choose fewer rows."
        _note_end(export, State.FAILED, problem)
    elif part.is_last:
        _note_end(export, State.READY, "")
        notify(
            export.asked_by,
            Notice.Kind.EXPORT_READY,
            reference=str(export.pk),
            export_id=export.pk,
            rows_written=export.rows_written,
        )
    return True


def stop_export(export: Export) -> bool:
    """Stop writing an export, and delete what there is of it. False if it had ended."""
    return _end(export.pk, State.STOPPED, "")


@transaction.atomic
def _end(export_id: int, state: Export.State, problem: str) -> bool:
    export = Export.objects.select_for_update().get(pk=export_id)
    if export.state != State.WRITING:
        return False
    _note_end(export, state, problem)
    return True


def _note_end(export: Export, state: Export.State, problem: str) -> None:
    export.state, export.problem, export.ended_at = state, problem, timezone.now()
    export.save(update_fields=["state", "problem", "ended_at"])
    if state != State.READY:
        export.parts.all().delete()


async def stream_parts(export_id: int) -> AsyncIterator[bytes]:
    """Yield the file of an export that is ready, a part at a time.

    No connection to the database is kept while a slow reader is waited for.
    """
    number = 0
    while (part := await sync_to_async(_read_part)(export_id, number)) is not None:
        yield part
        number += 1


def _read_part(export_id: int, number: int) -> bytes | None:
    try:
        part = ExportPart.objects.filter(export=export_id, number=number).first()
    finally:
        # Back to the pool, unless a caller's transaction needs it.
        if not connection.in_atomic_block:
            connection.close()
    return None if part is None else zlib.decompress(part.content)


def may_read(user: User, export: Export) -> bool:
    """Tell whether a person may read an export now: their own, or anybody's with the right."""
    is_theirs = export.asked_by_id == user.pk or user.has_perm("billing.view_export")
    return is_theirs and user.has_perms(export.rights) and export.expires_at > timezone.now()
