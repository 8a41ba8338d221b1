"""Chat completion chunks."""

from typing import Any

import orjson

from sandbox.upstream import probabilities
from sandbox.upstream.answers import Answer, Call, Piece
from sandbox.upstream.breakage import ERROR
from sandbox.upstream.playback import Frame
from sandbox.upstream.sse import event

BROKEN_EVENT = (
    b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"ind\n\n'
)
# What the chunk's template holds in place of the text; orjson writes it as it stands.
_MARK = "@@piece@@"


class ChunkWriter:
    """Writes the chunks of one answer: same id, time and model in each."""

    def __init__(
        self,
        *,
        head: dict[str, object],
        wants_usage: bool,
        top_logprobs: int | None = None,
        is_legacy: bool = False,
    ) -> None:
        self._head = head
        # With `include_usage`, every chunk but the last carries a null.
        self._tail: dict[str, object] = {"usage": None} if wants_usage else {}
        self._top_logprobs = top_logprobs
        self._is_legacy = is_legacy

    def role(self, index: int, answer: Answer) -> Frame:
        """The first chunk of a choice."""
        content = None if answer.calls else ""
        delta = {"role": "assistant", "content": content, "refusal": None}
        return self._chunk(index, delta), 0, 0

    def contents(self, index: int, answer: Answer) -> list[Frame]:
        """A chunk for each piece of a choice; what was thought takes its time before the first."""
        if answer.calls:
            frames = [
                frame
                for number, call in enumerate(answer.calls)
                for frame in self._call(index, number, call)
            ]
        elif self._top_logprobs is None:
            frames = self._words(index, answer)
        else:
            frames = [self._word_with_logprob(index, piece) for piece in answer.pieces]
        if frames and answer.reasoning_tokens:
            data, spoken, delivered = frames[0]
            frames[0] = (data, spoken + answer.reasoning_tokens, delivered)
        return frames

    def finish(self, index: int, answer: Answer) -> Frame:
        """The last chunk of a choice; with it, what was thought is delivered too."""
        reason = finish_reason(answer, is_legacy=self._is_legacy)
        silent = 0 if answer.pieces or answer.calls else answer.reasoning_tokens
        return self._chunk(index, {}, reason), silent, answer.reasoning_tokens

    def usage(self, usage: dict[str, object]) -> bytes:
        """The chunk with the usage and no choices."""
        return event({**self._head, "choices": [], "usage": usage})

    def padding(self, size: int) -> bytes:
        """A chunk of a choice that says nothing, in OpenAI's own filler field."""
        choice = {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": None}
        return event({**self._head, "choices": [choice], "obfuscation": "x" * size, **self._tail})

    def broken_event(self) -> bytes:
        return BROKEN_EVENT

    def error_event(self) -> bytes:
        return event({"error": ERROR})

    def failed_event(self) -> bytes:
        return self.error_event()

    def failed_body(self) -> bytes:
        return orjson.dumps({"error": ERROR})

    def _words(self, index: int, answer: Answer) -> list[Frame]:
        # The last one: a client may have put the mark into the model's name.
        before, _, after = self._chunk(index, {"content": _MARK}).rpartition(_MARK.encode())
        escape = str.encode if answer.is_plain else _escape
        return [(before + escape(piece) + after, count, count) for piece, count in answer.pieces]

    def _word_with_logprob(self, index: int, piece: Piece) -> Frame:
        text, count = piece
        logprobs = {
            "content": [probabilities.entry(text, self._top_logprobs or 0)],
            "refusal": None,
        }
        return self._chunk(index, {"content": text}, logprobs=logprobs), count, count

    def _call(self, index: int, number: int, call: Call) -> list[Frame]:
        first = describe_call(call, "")
        argument = "input" if call.planned.tool.is_custom else "arguments"
        kind = str(first["type"])

        def chunk(entry: dict[str, Any]) -> bytes:
            if self._is_legacy:
                return self._chunk(index, {"function_call": entry[kind]})
            return self._chunk(index, {"tool_calls": [{"index": number, **entry}]})

        frames: list[Frame] = [(chunk(first), call.name_tokens, call.name_tokens)]
        frames += [(chunk({kind: {argument: text}}), count, count) for text, count in call.pieces]
        return frames

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return event({**self._head, "choices": [choice], **self._tail})


def _escape(text: str) -> bytes:
    """A text as it stands within a JSON string."""
    return orjson.dumps(text)[1:-1]


def describe_call(call: Call, argument: str) -> dict[str, Any]:
    """A call as a message holds it, with so much of its argument."""
    tool = call.planned.tool
    kind, key = ("custom", "input") if tool.is_custom else ("function", "arguments")
    return {
        "id": call.planned.identifier,
        "type": kind,
        kind: {"name": tool.name, key: argument},
    }


def finish_reason(answer: Answer, *, is_legacy: bool) -> str:
    """Why a choice ended."""
    if is_legacy and answer.finish_reason == "tool_calls":
        return "function_call"
    return answer.finish_reason
