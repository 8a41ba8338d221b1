"""Refusals that a customer can mend, by what upstreams say, in one table.

Programs act on them: an agent shortens a conversation that has outgrown the model's context. So
each is answered in OpenAI's words, whatever the upstream's were. Nothing of its message is passed
on but numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from proxy.errors import InvalidRequest, UpstreamRefused

_N = r"(\d{1,9})"
# How upstreams say that a request outgrew the context, with what was asked and the limit, in
# either order: `asked` and `limit` are the places of the numbers, None where one is not told.
# OpenAI, Azure, DeepSeek, vLLM, OpenRouter; Anthropic; Gemini; xAI; Moonshot; Mistral; vLLM's older
# and newer words; llama.cpp; Cohere; Together; Cerebras.
_OVERFLOWS: tuple[tuple[str, int | None, int | None], ...] = (
    (
        rf"maximum context length is {_N} tokens?.{{0,80}}?"
        rf"(?:resulted in|requested(?: about)?) {_N}",
        2,
        1,
    ),
    (rf"prompt is too long: {_N} tokens > {_N} maximum", 1, 2),
    (rf"prompt is too long: {_N}, model maximum context length: {_N}", 1, 2),
    (rf"exceed context limit: {_N} \+ \d+ > {_N}", 1, 2),
    (rf"input token count \(?{_N}\)? exceeds the maximum number of tokens allowed \(?{_N}", 1, 2),
    (rf"maximum prompt length is {_N} but the request contains {_N}", 2, 1),
    (rf"exceeded model token limit: {_N}(?: \(requested: {_N}\))?", 2, 1),
    (rf"prompt contains {_N} tokens.{{0,60}}?too large for model with {_N}", 1, 2),
    (rf"prompt \(length {_N}\) is longer than the maximum model length of {_N}", 1, 2),
    (rf"passed {_N} input tokens.{{0,80}}?context length is only {_N}", 1, 2),
    (rf"exceeds the available context size \(?{_N}", None, 1),
    (rf"cannot exceed {_N} - received {_N}", 2, 1),
    (rf"must be <= {_N}\. given: {_N}", 2, 1),
    (rf"current length is {_N} while limit is {_N}", 1, 2),
    (r"exceeds? the (?:model's )?(?:context window|maximum context)", None, None),
    (r"reduce the length of the (?:messages|prompt|input)", None, None),
    (r"(?:input|prompt) is too long|range of input length should be", None, None),
    (rf"maximum context length (?:is|of) {_N}", None, 1),
)
_OVERFLOW_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), asked, limit)
    for pattern, asked, limit in _OVERFLOWS
)
_OVERFLOW_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
)
_FLAGGED_CODES = re.compile(
    r"content_filter|content_policy|responsibleai|moderation|data_inspection_failed|^1301$"
    r"|prohibited_content|safety_violation",
    re.IGNORECASE,
)
_FLAGGED_WORDS = re.compile(
    r"content management policy|flagged (?:as|by|for)|was flagged|content exists risk"
    r"|considered high risk|inappropriate content|usage polic",
    re.IGNORECASE,
)
_TOOLS_WORDS = re.compile(
    r"(?:not|n't|no endpoints found that) support(?:ed)?(?: for)? (?:tool|function)"
    r"|(?:tools?|tool_choice|function calling|tool use)\W{0,3} (?:is|are) not supported"
    r"|tool choice requires|enable-auto-tool-choice",
    re.IGNORECASE,
)
# What a customer can't mend at once: a limit of ours at the upstream that speaks of tokens.
_RATE_WORDS = re.compile(r"per minute|\bTPM\b|per day|\bTPD\b|rate limit", re.IGNORECASE)
# The statuses of refusals that a customer can mend. OpenRouter says 404 of tools, 403 of flags.
_STATUSES = frozenset({400, 403, 404, 413, 422, 500})
_FINAL = {"x-should-retry": "false"}
FLAGGED = "The input was flagged by the model's safety system. Change it, and send it again."
NO_TOOLS = "This model does not support tools as this request uses them."


@dataclass(frozen=True, slots=True)
class Overflow:
    """How long a request was, and how long it may be; None where the upstream did not tell."""

    asked: int | None
    limit: int | None

    def __str__(self) -> str:
        if self.limit is None:
            return (
                "Your input exceeds the context window of this model. "
                "Please adjust your input and try again."
            )
        however = f" However, your messages resulted in {self.asked} tokens." if self.asked else ""
        return (
            f"This model's maximum context length is {self.limit} tokens.{however} "
            "Please reduce the length of the messages."
        )


def find_mendable(refused: UpstreamRefused) -> InvalidRequest | None:
    """Return what a customer is told of a refusal that it can mend; None for any other."""
    if refused.status not in _STATUSES:
        return None
    error = refused.error
    message = error.get("message")
    words = message[:4_000] if isinstance(message, str) else ""
    codes = [str(error.get(name) or "") for name in ("code", "type")]
    if overflow := _find_overflow(error, words, codes):
        return InvalidRequest(str(overflow), param="messages", code="context_length_exceeded")
    # A 500 may quote anything; of it, only an overflow is believed.
    if refused.status == 500:
        return None
    if _is_flagged(error, words, codes):
        return InvalidRequest(FLAGGED, code="content_filter", headers=_FINAL)
    if _TOOLS_WORDS.search(words):
        return InvalidRequest(NO_TOOLS, param="tools", code="unsupported_parameter", headers=_FINAL)
    return None


def _find_overflow(error: dict[str, Any], words: str, codes: list[str]) -> Overflow | None:
    if _RATE_WORDS.search(words):
        return None
    for pattern, asked, limit in _OVERFLOW_PATTERNS:
        if found := pattern.search(words):
            return Overflow(_number(found, asked), _number(found, limit))
    if not _OVERFLOW_CODES.isdisjoint(codes):
        return Overflow(None, None)
    return None


def _is_flagged(error: dict[str, Any], words: str, codes: list[str]) -> bool:
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and "flagged_input" in metadata:
        return True
    return any(map(_FLAGGED_CODES.search, codes)) or bool(_FLAGGED_WORDS.search(words))


def _number(found: re.Match[str], place: int | None) -> int | None:
    text = found.group(place) if place is not None else None
    return int(text) if text else None
