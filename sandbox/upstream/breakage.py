"""Faults in an answer on its way."""

from typing import Protocol

import orjson

from sandbox.upstream.faults import Fault
from sandbox.upstream.playback import Ending, Frame, Script

ERROR = {
    "message": "The server had an error while processing your request.",
    "type": "server_error",
    "param": None,
    "code": None,
}


class Breakable(Protocol):
    """Writes what an endpoint's answers break with."""

    def padding(self, size: int) -> bytes:
        """An event that says nothing in so many bytes."""

    def broken_event(self) -> bytes:
        """An event that is no JSON."""

    def error_event(self) -> bytes:
        """An error in the middle of a stream."""

    def failed_event(self) -> bytes:
        """The end of a stream that failed."""

    def failed_body(self) -> bytes:
        """A JSON answer with status 200 that says that it failed."""


def break_stream(fault: Fault, script: Script, breakable: Breakable) -> None:
    """Break a stream: after `fault.count` of the chunks that say something."""
    at = script.position_after(fault.count)
    match fault.name:
        case "stall" | "cut":
            del script.frames[at:]
            script.ending = Ending.STALL if fault.name == "stall" else Ending.CUT
        case "error-event":
            _end_with(script, at, breakable.error_event())
        case "failed-event":
            _end_with(script, at, breakable.failed_event())
        case "malformed-event":
            _insert(script, at, (breakable.broken_event(), 0, 0))
        case "huge-event":
            padding = breakable.padding(fault.count * 1024)
            _insert(script, script.position_after(1), (padding, 0, 0))
        case "no-done":
            del script.frames[-1]
        case "byte-chunks":
            script.is_bytewise = True
    if script.usage_position >= len(script.frames):
        script.usage = None


def _end_with(script: Script, position: int, last: bytes) -> None:
    script.frames[position:] = [(last, 0, 0)]
    script.is_broken = True


def _insert(script: Script, position: int, frame: Frame) -> None:
    script.frames.insert(position, frame)
    script.usage_position += 1


def break_json(fault: Fault, script: Script, breakable: Breakable) -> None:
    """Break a JSON answer in the way that comes closest to the fault of a stream."""
    [(body, _, _)] = script.frames
    half = body[: len(body) // 2]
    match fault.name:
        case "stall" | "cut":
            _replace_body(script, half)
            script.promised_length = len(body)
            script.ending = Ending.STALL if fault.name == "stall" else Ending.CUT
        case "error-event":
            _replace_body(script, orjson.dumps({"error": ERROR}))
        case "failed-event":
            _replace_body(script, breakable.failed_body())
        case "malformed-event":
            _replace_body(script, half)
        case "huge-event":
            _resize(script, body[:-1] + b',"obfuscation":"' + b"x" * (fault.count * 1024) + b'"}')
        case "byte-chunks":
            script.is_bytewise = True


def _replace_body(script: Script, body: bytes) -> None:
    """Send this when the answer was due: it took as long, but it is none."""
    _resize(script, body)
    script.is_broken = True
    script.is_readable = False
    script.usage = None


def _resize(script: Script, body: bytes) -> None:
    [(_, spoken, delivered)] = script.frames
    script.frames = [(body, spoken, delivered)]
    script.promised_length = len(body)
