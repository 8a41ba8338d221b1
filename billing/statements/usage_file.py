"""Requests as a table for spreadsheets, written while it is read."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC

from asgiref.sync import sync_to_async
from django.db import connection

from billing.ledger.usage import UsageFilter, chunks_of
from billing.models import UsageRecord, Wallet
from billing.statements.csv_file import Cell, safe_cell

HEADER = (
    *("Ended (UTC)", "Request", "Model", "API key", "Key hint", "Endpoint", "Outcome", "Counted"),
    *("Prompt tokens", "Cached tokens", "Completion tokens", "Reasoning tokens"),
    *("First byte (ms)", "Took (ms)", "Charged (credits)"),
)


async def stream_usage(wallet: Wallet, chosen: UsageFilter) -> AsyncIterator[bytes]:
    """Yield the chosen requests as CSV, in UTF-8 with the byte order mark that Excel needs.

    No connection to the database is kept while a slow reader is waited for.
    """
    yield _lines([HEADER]).encode("utf-8-sig")
    chunks = chunks_of(wallet, chosen)
    while (lines := await sync_to_async(_next)(chunks)) is not None:
        yield lines


def _next(chunks: Iterator[list[UsageRecord]]) -> bytes | None:
    try:
        records = next(chunks, None)
    finally:
        # Back to the pool, unless a caller's transaction needs it.
        if not connection.in_atomic_block:
            connection.close()
    return None if records is None else _lines(map(_row, records)).encode()


def _lines(rows: "Iterator[tuple[Cell, ...]] | list[tuple[Cell, ...]]") -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([[safe_cell(cell) for cell in row] for row in rows])
    return text.getvalue()


def _row(record: UsageRecord) -> tuple[Cell, ...]:
    first_byte: Cell = "" if record.first_byte_ms is None else record.first_byte_ms
    return (
        f"{record.ended_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        *(record.request_id, record.model_name, record.api_key.name, record.api_key.hint),
        *(record.endpoint, record.outcome, record.source),
        *(record.prompt_tokens, record.cached_tokens),
        *(record.completion_tokens, record.reasoning_tokens),
        *(first_byte, record.duration_ms, record.charged_credits),
    )
