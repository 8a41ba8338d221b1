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
# Behind each, where it was read; the day is that of the report. All were read on 2026-11-28.
_OVERFLOWS: tuple[tuple[str, int | None, int | None], ...] = (
    # vLLM 0.8 and later, which tells of the answer first; SGLang.
    # github.com/earendil-works/pi, packages/ai/src/utils/overflow.ts
    (
        rf"maximum context length (?:is|of) {_N} tokens?.{{0,200}}?total of(?: at least)? {_N}",
        2,
        1,
    ),
    # OpenAI and Azure (github.com/webtimemachine/wtm2/issues/579, 2024-11-04), OpenRouter
    # (github.com/refly-ai/refly/issues/1177, 2025-07-31), DeepSeek and vLLM before
    # (github.com/THUDM/LongBench/issues/104, 2025-01-23).
    (
        rf"maximum context length is {_N} tokens?.{{0,80}}?"
        rf"(?:resulted in|requested(?: about)?) {_N}",
        2,
        1,
    ),
    # OpenAI's newer words, and Azure's.
    # github.com/BerriAI/litellm, litellm/litellm_core_utils/exception_mapping_utils.py
    (
        rf"input tokens exceed the configured limit of {_N} tokens"
        rf"(?:\. Your messages resulted in {_N})?",
        2,
        1,
    ),
    # Anthropic, also through Bedrock. github.com/entropy-research/Devon/issues/88, 2024-07-05;
    # github.com/strands-agents/harness-sdk/pull/1663, 2026-02-11
    (rf"prompt is too long: {_N} tokens > {_N} maximum", 1, 2),
    # github.com/docker/docker-agent/issues/569, 2025-10-21
    (rf"exceed context limit: {_N} \+ \d+ > {_N}", 1, 2),
    # Fireworks.
    (rf"prompt is too long: {_N}, model maximum context length: {_N}", 1, 2),
    # Gemini. github.com/google-gemini/gemini-cli/issues/12098, 2025-10-27
    (rf"input token count \(?{_N}\)? exceeds the maximum number of tokens allowed \(?{_N}", 1, 2),
    # From here to MiniMax: the table of messages in overflow.ts, as above.
    # xAI.
    (rf"maximum prompt length is {_N} but the request contains {_N}", 2, 1),
    # Moonshot.
    (rf"exceeded model token limit: {_N}(?: \(requested: {_N}\))?", 2, 1),
    # Mistral.
    (rf"prompt contains {_N} tokens.{{0,60}}?too large for model with {_N}", 1, 2),
    # Together.
    (rf"input \({_N} tokens\) is longer than the model's context length \({_N}", 1, 2),
    # Poolside through OpenRouter, and gateways.
    (rf"input length \(?{_N}\)? exceeds.{{0,40}}? length (?:of )?\(?{_N}", 1, 2),
    # GitHub Copilot.
    (rf"prompt token count of {_N} exceeds the limit of {_N}", 1, 2),
    # llama.cpp.
    (rf"exceeds the available context size \(?{_N}", None, 1),
    (r"exceeds the available context size|model_context_window_exceeded", None, None),
    # Ollama, MiniMax.
    (r"exceeded (?:max )?context length|context window exceeds limit", None, None),
    # LM Studio. github.com/lmstudio-ai/lmstudio-bug-tracker/issues/546, 2025-03-24
    (rf"keep the first {_N} tokens when.{{0,80}}?context length of only {_N}", 1, 2),
    (r"greater than the context length", None, None),
    # vLLM's older words.
    (rf"prompt \(length {_N}\) is longer than the maximum model length of {_N}", 1, 2),
    (rf"passed {_N} input tokens.{{0,80}}?context length is only {_N}", 1, 2),
    # Text Generation Inference, and Together before. litellm, as above.
    (rf"must be <= {_N}\. given: {_N}", 2, 1),
    # Cerebras. litellm, as above.
    (rf"current length is {_N} while limit is {_N}", 1, 2),
    # Cohere; no report found.
    (rf"cannot exceed {_N} - received {_N}", 2, 1),
    # Alibaba's DashScope.
    (rf"range of input length should be \[\d+, ?{_N}", None, 1),
    # OpenAI's responses; Groq; Bedrock, DashScope: overflow.ts, as above.
    (r"exceeds? the (?:model's )?(?:context window|maximum context)", None, None),
    (r"reduce the length of the (?:messages|prompt|input)", None, None),
    (r"(?:input|prompt) is too long|range of input length should be", None, None),
    (rf"maximum context length (?:is|of) {_N}", None, 1),
)
_OVERFLOW_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), asked, limit)
    for pattern, asked, limit in _OVERFLOWS
)
# `request_too_large` is Anthropic's, by bytes.
_OVERFLOW_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "request_too_large"}
)
# OpenAI's for any text that is too long: only that of a message is one that a conversation mends.
_LONG_TEXT_CODE = "string_above_max_length"
_MESSAGE_PARAMS = ("messages", "input", "prompt")
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
    if not _OVERFLOW_CODES.isdisjoint(codes) or _is_long_message(error, codes):
        return Overflow(None, None)
    return None


def _is_long_message(error: dict[str, Any], codes: list[str]) -> bool:
    return _LONG_TEXT_CODE in codes and str(error.get("param")).startswith(_MESSAGE_PARAMS)


def _is_flagged(error: dict[str, Any], words: str, codes: list[str]) -> bool:
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and "flagged_input" in metadata:
        return True
    return any(map(_FLAGGED_CODES.search, codes)) or bool(_FLAGGED_WORDS.search(words))


def _number(found: re.Match[str], place: int | None) -> int | None:
    text = found.group(place) if place is not None else None
    return int(text) if text else None
