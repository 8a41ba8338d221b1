"""Faults in the usage that is reported and in the answer on its way."""

from typing import Any

import orjson

from sandbox.upstream.faults import Fault
from sandbox.upstream.playback import Ending, Frame, Script
from sandbox.upstream.sse import ChunkWriter, event

BROKEN_EVENT = (
    b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"ind\n\n'
)
STREAM_ERROR = {
    "error": {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}

Usage = dict[str, Any]


def distort_usage(fault: Fault | None, usage: Usage, *, max_tokens: int) -> Usage | None:
    """The usage as this fault reports it; None if it reports none."""
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    match fault:
        case Fault(name="no-usage"):
            return None
        case Fault(name="zero-usage"):
            usage = _counts(usage, prompt=0, completion=0, cached=0)
        case Fault(name="negative-usage"):
            usage = _counts(usage, prompt=prompt, completion=-completion)
        case Fault(name="string-usage"):
            counts = {key: str(value) for key, value in usage.items() if isinstance(value, int)}
            usage = {**usage, **counts}
        case Fault(name="cached-over-prompt"):
            usage = _counts(usage, prompt=prompt, completion=completion, cached=prompt + 1)
        case Fault(name="usage-over-max"):
            usage = _counts(usage, prompt=prompt, completion=max_tokens + fault.count)
    return usage


def _counts(usage: Usage, *, prompt: int, completion: int, cached: int | None = None) -> Usage:
    details = dict(usage["prompt_tokens_details"])
    if cached is not None:
        details["cached_tokens"] = cached
    return {
        **usage,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
    }


def break_stream(
    fault: Fault, script: Script, *, opening: int, contents: int, writer: ChunkWriter
) -> None:
    """Break a stream: after `fault.count` of its `contents` chunks, which follow the `opening`."""
    at = opening + min(fault.count, contents)
    if fault.name in ("stall", "cut"):
        del script.frames[at:]
        script.ending = Ending.STALL if fault.name == "stall" else Ending.CUT
    elif fault.name == "error-event":
        script.frames[at:] = [(event(STREAM_ERROR), 0)]
        script.is_broken = True
    elif fault.name == "malformed-event":
        _insert(script, at, (BROKEN_EVENT, 0))
    elif fault.name == "huge-event":
        _insert(script, opening + min(1, contents), (writer.padding(fault.count * 1024), 0))
    elif fault.name == "byte-chunks":
        script.is_bytewise = True
    if script.usage_position >= len(script.frames):
        script.usage = None


def _insert(script: Script, position: int, frame: Frame) -> None:
    script.frames.insert(position, frame)
    script.usage_position += 1


def break_json(fault: Fault, script: Script) -> None:
    """Break a JSON answer in the way that comes closest to the fault of a stream."""
    [(body, _)] = script.frames
    half = body[: len(body) // 2]
    if fault.name in ("stall", "cut"):
        _replace_body(script, half)
        script.promised_length = len(body)
        script.ending = Ending.STALL if fault.name == "stall" else Ending.CUT
    elif fault.name == "error-event":
        _replace_body(script, orjson.dumps(STREAM_ERROR))
    elif fault.name == "malformed-event":
        _replace_body(script, half)
    elif fault.name == "huge-event":
        _resize(script, body[:-1] + b',"obfuscation":"' + b"x" * (fault.count * 1024) + b'"}')
    elif fault.name == "byte-chunks":
        script.is_bytewise = True


def _replace_body(script: Script, body: bytes) -> None:
    """Send this when the answer was due: it took as long, but it is none."""
    _resize(script, body)
    script.is_broken = True
    script.is_readable = False
    script.usage = None


def _resize(script: Script, body: bytes) -> None:
    [(_, completion_tokens)] = script.frames
    script.frames = [(body, completion_tokens)]
    script.promised_length = len(body)
