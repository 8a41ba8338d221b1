"""A response as an object: its frame and the items of its output."""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

from sandbox.upstream import probabilities, words
from sandbox.upstream.answers import Answer, Call
from sandbox.upstream.response_request import ResponseRequest

Item = dict[str, Any]
Usage = dict[str, Any]

SUMMARY_WORDS = 12
# What is said back when the body did not say it.
DEFAULTS: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}


@dataclass(frozen=True, slots=True)
class Output:
    """The items that an answer has, complete."""

    reasoning: Item | None
    calls: list[tuple[Item, Call]]
    message: Item | None

    @property
    def items(self) -> list[Item]:
        """All of them in their order."""
        firsts = [] if self.reasoning is None else [self.reasoning]
        lasts = [] if self.message is None else [self.message]
        return [*firsts, *[item for item, _ in self.calls], *lasts]


def build_output(request: ResponseRequest, answer: Answer) -> Output:
    """The items of an answer."""
    status = "incomplete" if answer.finish_reason == "length" else "completed"
    reasoning = None
    if answer.reasoning_tokens or request.has_summary:
        reasoning = _reasoning(request)
    calls = [(_call(call), call) for call in answer.calls]
    if calls and status == "incomplete":
        calls[-1][0]["status"] = status
    message = None
    if answer.pieces or not calls:
        message = _message(request, answer, status)
    return Output(reasoning, calls, message)


def _reasoning(request: ResponseRequest) -> Item:
    summary = []
    if request.has_summary:
        seed = int.from_bytes(request.digest())
        text = "".join(words.pieces(seed, SUMMARY_WORDS))
        summary = [{"type": "summary_text", "text": text}]
    item: Item = {"id": _new_id("rs"), "type": "reasoning", "summary": summary}
    if request.has_encrypted_reasoning:
        digest = hashlib.shake_256(request.digest()).digest(96)
        item["encrypted_content"] = base64.b64encode(digest).decode()
    return item


def _call(call: Call) -> Item:
    tool = call.planned.tool
    item: Item = {"call_id": call.planned.identifier, "name": tool.name, "status": "completed"}
    if tool.is_custom:
        return {"id": _new_id("ctc"), "type": "custom_tool_call", "input": call.argument, **item}
    return {"id": _new_id("fc"), "type": "function_call", "arguments": call.argument, **item}


def _message(request: ResponseRequest, answer: Answer, status: str) -> Item:
    logprobs: list[Item] = []
    if (count := request.top_logprobs) is not None:
        logprobs = [probabilities.entry(text, count) for text, _ in answer.pieces]
    part = {
        "type": "output_text",
        "text": answer.text,
        "annotations": [],
        "logprobs": logprobs,
    }
    return {
        "id": _new_id("msg"),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part],
    }


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(24)}"


class ResponseObject:
    """The response at each stage of its life."""

    def __init__(self, request: ResponseRequest, identifier: str) -> None:
        payload = request.payload
        given = {key: payload[key] for key in DEFAULTS if payload.get(key) is not None}
        self._frame: dict[str, Any] = {
            "id": identifier,
            "object": "response",
            "created_at": int(time.time()),
            "model": request.model,
            **DEFAULTS,
            **given,
            "service_tier": "default",
            "store": request.is_stored,
            "text": {"verbosity": "medium", "format": {"type": "text"}, **_given(payload, "text")},
            "tools": [_say_tool_back(tool) for tool in payload.get("tools") or []],
            "reasoning": {"effort": None, "summary": None, **_given(payload, "reasoning")},
        }
        if isinstance(payload.get("user"), str):
            self._frame["user"] = payload["user"]

    def in_progress(self) -> dict[str, Any]:
        """Before anything was said."""
        return self._at("in_progress")

    def ended(self, answer: Answer, output: Output, usage: Usage | None) -> dict[str, Any]:
        """With all that was said; None for a usage that is kept back."""
        if answer.finish_reason == "length":
            response = self._at("incomplete")
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        else:
            response = self._at("completed")
            response["completed_at"] = int(time.time())
        response["output"] = output.items
        if usage is not None:
            response["usage"] = usage
        return response

    def failed(self, message: str) -> dict[str, Any]:
        """Broken by an error of the provider."""
        response = self._at("failed")
        response["error"] = {"code": "server_error", "message": message}
        return response

    def _at(self, status: str) -> dict[str, Any]:
        return {
            **self._frame,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "completed_at": None,
            "output": [],
        }


def _given(payload: dict[str, Any], key: str) -> dict[str, Any]:
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


def _say_tool_back(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    return {"parameters": None, "description": None, **tool, "strict": tool.get("strict", True)}


def as_response_usage(usage: Usage | None) -> Usage | None:
    """A chat's usage under the names of responses."""
    if usage is None:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "cache_write_tokens": 0,
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]
        },
        "total_tokens": usage["total_tokens"],
    }
