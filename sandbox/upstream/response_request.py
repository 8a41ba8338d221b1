"""The body of `POST /v1/responses`, validated as OpenAI does."""

from dataclasses import dataclass
from typing import Any

from sandbox.upstream.chat_request import MAX_TOKENS_LIMIT, check_sampling, parse_model
from sandbox.upstream.conversations import Conversations, Item
from sandbox.upstream.errors import ApiError
from sandbox.upstream.prompt import Prompt
from sandbox.upstream.quirks import EFFORTS, check_capabilities
from sandbox.upstream.response_items import as_messages, parse_items, resolve_references
from sandbox.upstream.tools import flat, parse_format, parse_tool_choice, parse_tools
from sandbox.upstream.validation import (
    Payload,
    check_choice,
    check_integer,
    check_type,
    missing,
)

MIN_OUTPUT_TOKENS = 16
MAX_TOP_LOGPROBS = 20
SUMMARIES = ("auto", "concise", "detailed")
# Each needs something that this provider does not keep: jobs, conversations, templates.
UNSUPPORTED = ("background", "conversation", "prompt")


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """What this provider acts on, and the body to say it back."""

    prompt: Prompt
    # The conversation, what was stored of it included.
    items: list[Item]
    payload: Payload
    is_stream: bool
    is_stored: bool
    has_summary: bool
    has_encrypted_reasoning: bool
    top_logprobs: int | None

    @property
    def model(self) -> str:
        return self.prompt.model

    def digest(self) -> bytes:
        """What makes two requests the same conversation."""
        return self.prompt.digest()

    @classmethod
    def parse(cls, payload: Payload, conversations: Conversations) -> "ResponseRequest":
        """Validate a body. Raises ApiError 400 that names the parameter."""
        model = parse_model(payload)
        check_capabilities(model, payload)
        for param in UNSUPPORTED:
            if payload.get(param):
                raise _unsupported(param)
        items = _items(payload, conversations)
        is_stored = check_type(payload, "store", bool)
        reasoning: Payload = check_type(payload, "reasoning", dict) or {}
        included = _included(payload)
        top = check_integer(payload, "top_logprobs", 0, MAX_TOP_LOGPROBS)
        request = cls(
            prompt=_prompt(payload, model, items, reasoning),
            items=items,
            payload=payload,
            is_stream=bool(check_type(payload, "stream", bool)),
            is_stored=is_stored is not False,
            has_summary=check_choice(reasoning, "summary", SUMMARIES) is not None,
            has_encrypted_reasoning="reasoning.encrypted_content" in included,
            top_logprobs=top or 0 if "message.output_text.logprobs" in included or top else None,
        )
        check_sampling(payload)
        check_type(payload, "metadata", dict)
        check_choice(payload, "truncation", ("auto", "disabled"))
        return request


def _unsupported(param: str) -> ApiError:
    return ApiError(
        400,
        f"Unsupported parameter: '{param}' is not supported here.",
        param=param,
        code="unsupported_parameter",
    )


def _items(payload: Payload, conversations: Conversations) -> list[Item]:
    if payload.get("input") is None:
        raise missing("input")
    items = parse_items(payload["input"], "input")
    if not items:
        raise ApiError(400, "'input' must not be empty.", param="input", code="empty_array")
    previous: str | None = check_type(payload, "previous_response_id", str)
    earlier: list[Item] | None = []
    if previous is not None:
        earlier = conversations.find_items(previous)
        if earlier is None:
            raise ApiError(
                400,
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
    return [*(earlier or []), *resolve_references(items, conversations)]


def _included(payload: Payload) -> list[Any]:
    return check_type(payload, "include", list) or []


def _prompt(payload: Payload, model: str, items: list[Item], reasoning: Payload) -> Prompt:
    messages = as_messages(items)
    instructions: str | None = check_type(payload, "instructions", str)
    if instructions:
        messages = [{"role": "developer", "content": instructions}, *messages]
    tools = parse_tools(payload, flat)
    text: Payload = check_type(payload, "text", dict) or {}
    return Prompt(
        model=model,
        messages=messages,
        max_tokens=check_integer(payload, "max_output_tokens", MIN_OUTPUT_TOKENS, MAX_TOKENS_LIMIT),
        tools=tools,
        tool_choice=parse_tool_choice(payload, tools, flat),
        is_parallel=check_type(payload, "parallel_tool_calls", bool) is not False,
        answer_format=parse_format(text.get("format"), "text.format", flat),
        effort=check_choice(reasoning, "effort", EFFORTS),
    )
