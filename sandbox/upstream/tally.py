"""What this provider served: one record per request, and their sums.

A request is *received* when its headers are; *accepted* when work on an answer began; then it is
*completed*, *cut by the client* (it hung up) or *failed* (a fault broke the answer). A request that
was not accepted was *refused*. Sums hold requests that have ended; the others are *open*.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.upstream.connection import ClientLeft
from sandbox.upstream.errors import ApiError

# Sums are kept for ever, records up to here: about 100 MB.
MAX_RECORDS = 200_000
# Bodies without their messages are kept for the newest requests only.
MAX_PARAMETERS = 1_000
# Clients choose the names of models: past this many, the rest shares one row.
MAX_MODELS = 1_000
OTHER_MODELS = "(other models)"

# What was said, in one endpoint's body or another's.
SPOKEN = ("messages", "prompt", "input", "instructions", "suffix")


@dataclass(slots=True)
class Record:
    """One request."""

    number: int
    request_id: str | None
    received_at: str
    path: str = ""
    # Which of the provider's keys was used, from 0.
    key_number: int | None = None
    model: str = ""
    is_stream: bool = False
    fault: str | None = None
    status: int | None = None
    is_accepted: bool = False
    outcome: str = "open"
    prompt_tokens: int = 0
    completion_tokens_generated: int = 0
    completion_tokens_delivered: int = 0
    chunks_sent: int = 0
    left_at_chunk: int | None = None
    usage_reported: dict[str, object] | None = None
    parameters: dict[str, Any] | None = None

    def refuse(self, status: int | None) -> None:
        """Note an answer without work behind it; no status if there was no answer at all."""
        self.status = status
        self.outcome = "refused"


@dataclass(slots=True)
class Totals:
    """Sums over requests that have ended."""

    received: int = 0
    accepted: int = 0
    completed: int = 0
    cut_by_client: int = 0
    failed: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens_generated: int = 0
    completion_tokens_delivered: int = 0
    usage_reports: int = 0
    prompt_tokens_reported: int = 0
    completion_tokens_reported: int = 0

    def add(self, record: Record) -> None:
        """Count a request that has ended."""
        self.received += 1
        self.accepted += record.is_accepted
        setattr(self, record.outcome, getattr(self, record.outcome) + 1)
        self.prompt_tokens += record.prompt_tokens if record.is_accepted else 0
        self.completion_tokens_generated += record.completion_tokens_generated
        self.completion_tokens_delivered += record.completion_tokens_delivered
        if record.usage_reported is not None:
            self.usage_reports += 1
            self.prompt_tokens_reported += _reported(record, "prompt_tokens")
            self.completion_tokens_reported += _reported(record, "completion_tokens")


def _reported(record: Record, usage_class: str) -> int:
    """A reported count; 0 where a fault made it something else than a number."""
    value = (record.usage_reported or {}).get(usage_class)
    return value if isinstance(value, int) else 0


@dataclass(slots=True)
class Tally:
    """All records since the last reset."""

    # Called with each request that has ended.
    on_end: Callable[[Record], None] = lambda record: None
    totals: Totals = field(default_factory=Totals)
    models: dict[str, Totals] = field(default_factory=dict)
    redirects_followed: int = 0
    unauthorised: int = 0
    records_dropped: int = 0
    _received: int = 0
    _ended: int = 0
    _records: deque[Record] = field(default_factory=deque)
    _with_parameters: deque[Record] = field(default_factory=deque)
    _by_request_id: dict[str, list[Record]] = field(default_factory=dict)

    @contextmanager
    def record(self, request_id: str | None) -> Iterator[Record]:
        """A record for the request handled within; how the block ends is how the request ended."""
        record = self._open(request_id)
        try:
            yield record
            if record.outcome == "open":
                record.outcome = "completed"
        except ApiError as error:
            record.refuse(error.status)
            raise
        except ClientLeft:
            _note_hang_up(record)
            raise
        except BaseException:
            # The process is stopping, or there is a bug in it: either way the answer broke.
            record.outcome = "failed"
            raise
        finally:
            self._close(record)

    def keep_parameters(self, record: Record, payload: dict[str, Any]) -> None:
        """Keep what a request asked for, without what was said in it."""
        record.parameters = {key: value for key, value in payload.items() if key not in SPOKEN}
        self._with_parameters.append(record)
        if len(self._with_parameters) > MAX_PARAMETERS:
            self._with_parameters.popleft().parameters = None

    def summary(self) -> dict[str, Any]:
        """Sums in all and per model."""
        return {
            "totals": self._with_open(),
            "models": {name: asdict(totals) for name, totals in sorted(self.models.items())},
        }

    def summary_of(self, request_id: str) -> dict[str, Any]:
        """Sums and records of one request id, which an upstream sees again at each retry."""
        records = self._by_request_id.get(request_id, [])
        totals = Totals()
        for record in records:
            if record.outcome != "open":
                totals.add(record)
        return {
            "request_id": request_id,
            "totals": {**asdict(totals), "open": sum(r.outcome == "open" for r in records)},
            "requests": [asdict(record) for record in records],
        }

    def page(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Records with a number above `after`, oldest first."""
        if not self._records:
            return []
        first = max(0, after + 1 - self._records[0].number)
        last = min(first + limit, len(self._records))
        return [asdict(self._records[position]) for position in range(first, last)]

    def _with_open(self) -> dict[str, int]:
        return {
            **asdict(self.totals),
            "open": self._received - self._ended,
            "redirects_followed": self.redirects_followed,
            "unauthorised": self.unauthorised,
            "records_dropped": self.records_dropped,
        }

    def _open(self, request_id: str | None) -> Record:
        self._received += 1
        received_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = Record(number=self._received, request_id=request_id, received_at=received_at)
        self._records.append(record)
        if request_id is not None:
            self._by_request_id.setdefault(request_id, []).append(record)
        if len(self._records) > MAX_RECORDS:
            self._drop_oldest()
        return record

    def _drop_oldest(self) -> None:
        oldest = self._records.popleft()
        self.records_dropped += 1
        if oldest.request_id is not None:
            siblings = self._by_request_id[oldest.request_id]
            siblings.remove(oldest)
            if not siblings:
                del self._by_request_id[oldest.request_id]

    def _close(self, record: Record) -> None:
        self._ended += 1
        self.totals.add(record)
        self.on_end(record)
        name = record.model
        if name not in self.models and len(self.models) >= MAX_MODELS:
            name = OTHER_MODELS
        self.models.setdefault(name, Totals()).add(record)


def _note_hang_up(record: Record) -> None:
    record.left_at_chunk = record.chunks_sent
    # A client that left before it had sent its request, or during a refusal, cut nothing.
    record.outcome = "cut_by_client" if record.is_accepted else "refused"
