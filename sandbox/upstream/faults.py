"""The faults this provider can be told to have, and how they are named.

A model's name chooses one: whatever stands before `fault-` is ignored, so `acme/fault-cut-5` and
`fault-cut-5` are the same. Rules set over the control API choose one for any model.
"""

from dataclasses import dataclass
from enum import Enum

from sandbox.upstream.errors import model_not_found

MARK = "fault-"


class Stage(Enum):
    """Where a fault strikes."""

    BEFORE = "before an answer"
    USAGE = "in the usage"
    ANSWER = "in the answer"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A row of the table."""

    stage: Stage
    what: str
    # The number that may follow the name, as in `cut-5`; None where there can be none.
    default: float | None = None


FAULTS: dict[str, FaultKind] = {
    "refuse": FaultKind(Stage.BEFORE, "closes the connection before any byte of an answer"),
    "500": FaultKind(Stage.BEFORE, "500, server_error"),
    "503": FaultKind(Stage.BEFORE, "503, overloaded"),
    "429": FaultKind(Stage.BEFORE, "429, rate limit, with Retry-After of N seconds", 1),
    "401": FaultKind(Stage.BEFORE, "401 that quotes the provider's key"),
    "402-quota": FaultKind(Stage.BEFORE, "402, quota, names the upstream and its organisation"),
    "429-quota": FaultKind(Stage.BEFORE, "429, quota, as OpenAI says it, names the organisation"),
    "not-json": FaultKind(Stage.BEFORE, "200 with an HTML page"),
    "redirect": FaultKind(Stage.BEFORE, "307 to another path of this provider"),
    "slow-first-byte": FaultKind(Stage.BEFORE, "waits N seconds, then answers", 3),
    "flaky": FaultKind(Stage.BEFORE, "500 for the first N tries of a conversation", 1),
    "no-usage": FaultKind(Stage.USAGE, "no usage at all"),
    "zero-usage": FaultKind(Stage.USAGE, "every count is 0"),
    "negative-usage": FaultKind(Stage.USAGE, "the completion's count is negative"),
    "string-usage": FaultKind(Stage.USAGE, "the counts are strings"),
    "cached-over-prompt": FaultKind(Stage.USAGE, "more cached tokens than prompt tokens"),
    "usage-over-max": FaultKind(Stage.USAGE, "N completion tokens above the maximum", 1000),
    "stall": FaultKind(Stage.ANSWER, "silent after N chunks, connection open", 3),
    "cut": FaultKind(Stage.ANSWER, "connection cut after N chunks", 3),
    "error-event": FaultKind(Stage.ANSWER, "an error event after N chunks, then the end", 3),
    "malformed-event": FaultKind(Stage.ANSWER, "an event of broken JSON after N chunks", 3),
    "huge-event": FaultKind(Stage.ANSWER, "an event of N KiB after the first chunk", 1024),
    "failed-event": FaultKind(Stage.ANSWER, "`response.failed` after N chunks; else as above", 3),
    "no-done": FaultKind(Stage.ANSWER, "the stream ends without [DONE] or its last event"),
    "byte-chunks": FaultKind(Stage.ANSWER, "every byte of the body is a chunk of its own"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the table with its number."""

    name: str
    number: float = 0

    @property
    def stage(self) -> Stage:
        return FAULTS[self.name].stage

    @property
    def count(self) -> int:
        return int(self.number)

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `cut-5` or `fault-cut-5`. Raises ValueError for what the table does not have."""
        text = text.removeprefix(MARK)
        if text in FAULTS:
            return cls(text, FAULTS[text].default or 0)
        name, _, number = text.rpartition("-")
        if name not in FAULTS or FAULTS[name].default is None or not _is_number(number):
            raise ValueError(f"unknown fault {text!r}; there are: {', '.join(FAULTS)}")
        return cls(name, float(number))


def _is_number(text: str) -> bool:
    # Digits and one point, nothing else that float() would take: no sign, no `1e9`, no `nan`.
    return text.replace(".", "", 1).isdecimal() and text.isascii() and len(text) <= 9


def fault_of_model(model: str) -> Fault | None:
    """The fault that a model's name asks for. Raises ApiError 404 if there is no such fault."""
    before, mark, text = model.rpartition(MARK)
    if not mark or before[-1:].isalnum():
        return None
    try:
        return Fault.parse(text)
    except ValueError:
        raise model_not_found(model) from None
