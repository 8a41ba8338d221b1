"""Chat completion chunks as server-sent events."""

import orjson

DONE = b"data: [DONE]\n\n"

# What the chunk's template holds in place of the text; orjson writes it as it stands.
_MARK = "@@piece@@"


def event(payload: object) -> bytes:
    """One server-sent event with a JSON payload."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


class ChunkWriter:
    """Writes the chunks of one answer: same id, time and model in each."""

    def __init__(self, *, head: dict[str, object], wants_usage: bool) -> None:
        self._head = head
        # With `include_usage`, every chunk but the last carries a null.
        self._tail: dict[str, object] = {"usage": None} if wants_usage else {}

    def role(self, index: int) -> bytes:
        """The first chunk of a choice."""
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None})

    def contents(self, index: int, pieces: list[str]) -> list[bytes]:
        """A chunk for each piece of a choice."""
        # The last one: a client may have put the mark into the model's name.
        before, _, after = self._chunk(index, {"content": _MARK}).rpartition(_MARK.encode())
        # Pieces are letters and spaces (see `words`): nothing in them needs escaping in JSON.
        return [before + piece.encode() + after for piece in pieces]

    def finish(self, index: int, reason: str) -> bytes:
        """The last chunk of a choice."""
        return self._chunk(index, {}, reason)

    def usage(self, usage: dict[str, object]) -> bytes:
        """The chunk with the usage and no choices."""
        return event({**self._head, "choices": [], "usage": usage})

    def padding(self, size: int) -> bytes:
        """A chunk of a choice that says nothing in `size` bytes, in OpenAI's own filler field."""
        choice = {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": None}
        return event({**self._head, "choices": [choice], "obfuscation": "x" * size, **self._tail})

    def _chunk(self, index: int, delta: dict[str, object], reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head, "choices": [choice], **self._tail})
