"""The events of a streamed response, in the order of the specification."""

from typing import Any

import orjson

from sandbox.upstream import probabilities
from sandbox.upstream.answers import Answer, Call
from sandbox.upstream.breakage import ERROR
from sandbox.upstream.playback import Frame
from sandbox.upstream.response_output import Item, Output, ResponseObject
from sandbox.upstream.sse import named_event

BROKEN_EVENT = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","ite\n\n'
)


class EventWriter:
    """Writes the events of one response, numbered from 0."""

    def __init__(self, response: ResponseObject, top_logprobs: int | None) -> None:
        self._response = response
        self._top_logprobs = top_logprobs
        self._number = 0
        self._index = 0

    def opening(self) -> list[Frame]:
        """A response that has not said anything yet."""
        response = self._response.in_progress()
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def contents(self, answer: Answer, output: Output) -> list[Frame]:
        """Each item, as it grows."""
        frames: list[Frame] = []
        if output.reasoning is not None:
            frames += self._reasoning(output.reasoning)
        for item, call in output.calls:
            frames += self._call(item, call)
        if output.message is not None:
            frames += self._message(output.message, answer)
        if answer.reasoning_tokens:
            first = next((i for i, frame in enumerate(frames) if frame[1]), len(frames) - 1)
            data, spoken, delivered = frames[first]
            frames[first] = (data, spoken + answer.reasoning_tokens, delivered)
        return frames

    def closing(self, response: dict[str, Any], answer: Answer) -> Frame:
        """The whole response; with it, what was thought is delivered too."""
        data, _, _ = self._event(f"response.{response['status']}", response=response)
        return data, 0, answer.reasoning_tokens

    def padding(self, size: int) -> bytes:
        """An event that says nothing, in OpenAI's own filler field."""
        fields: dict[str, Any] = {"item_id": "msg_padding", "output_index": 0, "content_index": 0}
        filler: dict[str, Any] = {"delta": "", "logprobs": [], "obfuscation": "x" * size}
        return self._event("response.output_text.delta", **fields, **filler)[0]

    def broken_event(self) -> bytes:
        return BROKEN_EVENT

    def error_event(self) -> bytes:
        message = ERROR["message"]
        return self._event("error", code="server_error", message=message, param=None)[0]

    def failed_event(self) -> bytes:
        response = self._response.failed(str(ERROR["message"]))
        return self._event("response.failed", response=response)[0]

    def failed_body(self) -> bytes:
        return orjson.dumps(self._response.failed(str(ERROR["message"])))

    def _reasoning(self, item: Item) -> list[Frame]:
        place = {"item_id": item["id"], "output_index": self._index}
        frames = [self._added({**item, "summary": []})]
        for number, part in enumerate(item["summary"]):
            spot = {**place, "summary_index": number}
            kind = "response.reasoning_summary"
            empty = {**part, "text": ""}
            frames.append(self._event(f"{kind}_part.added", **spot, part=empty))
            frames += [
                self._event(f"{kind}_text.delta", **spot, delta=piece)
                for piece in _words_of(part["text"])
            ]
            frames.append(self._event(f"{kind}_text.done", **spot, text=part["text"]))
            frames.append(self._event(f"{kind}_part.done", **spot, part=part))
        return [*frames, self._done(item)]

    def _call(self, item: Item, call: Call) -> list[Frame]:
        place = {"item_id": item["id"], "output_index": self._index}
        is_custom = item["type"] == "custom_tool_call"
        argument = "input" if is_custom else "arguments"
        kind = (
            "response.custom_tool_call_input" if is_custom else "response.function_call_arguments"
        )
        growing = {**item, argument: "", "status": "in_progress"}
        frames = [self._added(growing, tokens=call.name_tokens)]
        frames += [
            self._event(f"{kind}.delta", tokens=count, **place, delta=text)
            for text, count in call.pieces
        ]
        whole = {argument: item[argument]}
        name = {} if is_custom else {"name": item["name"]}
        frames.append(self._event(f"{kind}.done", **place, **name, **whole))
        return [*frames, self._done(item)]

    def _message(self, item: Item, answer: Answer) -> list[Frame]:
        [part] = item["content"]
        place = {"item_id": item["id"], "output_index": self._index, "content_index": 0}
        frames = [self._added({**item, "status": "in_progress", "content": []})]
        empty = {**part, "text": "", "logprobs": []}
        frames.append(self._event("response.content_part.added", **place, part=empty))
        frames += [
            self._event(
                "response.output_text.delta",
                tokens=count,
                **place,
                delta=text,
                logprobs=self._logprobs([text]),
            )
            for text, count in answer.pieces
        ]
        said = {"text": part["text"], "logprobs": self._logprobs([t for t, _ in answer.pieces])}
        frames.append(self._event("response.output_text.done", **place, **said))
        frames.append(self._event("response.content_part.done", **place, part=part))
        return [*frames, self._done(item)]

    def _logprobs(self, pieces: list[str]) -> list[dict[str, Any]]:
        if self._top_logprobs is None:
            return []
        count = self._top_logprobs
        # Unlike those of the finished part, these have no bytes in the specification.
        return [probabilities.entry(piece, count, with_bytes=False) for piece in pieces]

    def _added(self, item: Item, *, tokens: int = 0) -> Frame:
        kind = "response.output_item.added"
        return self._event(kind, tokens=tokens, output_index=self._index, item=item)

    def _done(self, item: Item) -> Frame:
        frame = self._event("response.output_item.done", output_index=self._index, item=item)
        self._index += 1
        return frame

    def _event(self, kind: str, *, tokens: int = 0, **fields: Any) -> Frame:
        payload = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return named_event(payload), tokens, tokens


def _words_of(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(" " + word for word in rest)]
