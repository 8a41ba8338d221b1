"""What only some models take: the reasoning ones refuse what the others accept."""

import re
from typing import Any

from sandbox.upstream.errors import ApiError
from sandbox.upstream.validation import Payload

# `gpt-5.1` and later take a temperature again.
REASONING = re.compile(r"(o1|o3|o4|gpt-5)(-|$)")
# Reasoning tokens that each effort costs before an answer.
EFFORTS = {"none": 0, "minimal": 8, "low": 16, "medium": 32, "high": 64, "xhigh": 128, "max": 256}
DEFAULT_EFFORT = "medium"

DEFAULTS: dict[str, Any] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
UNKNOWN_TO_THEM = ("logprobs", "top_logprobs", "logit_bias")


def is_reasoning(model: str) -> bool:
    """Does this model think before it speaks?"""
    return REASONING.match(model.rpartition("/")[2]) is not None


def reasoning_tokens(model: str, effort: str | None) -> int:
    """Tokens that this model thinks before an answer; others do so only if they are asked to."""
    if effort is None:
        return EFFORTS[DEFAULT_EFFORT] if is_reasoning(model) else 0
    return EFFORTS[effort]


def check_capabilities(model: str, payload: Payload) -> None:
    """Refuse what this model does not take. Raises ApiError 400."""
    if not is_reasoning(model):
        return
    if payload.get("max_tokens") is not None:
        raise _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    for param in UNKNOWN_TO_THEM:
        if payload.get(param):
            raise _unsupported(param)
    for param, default in DEFAULTS.items():
        value = payload.get(param)
        if value is not None and value != default:
            raise ApiError(
                400,
                f"Unsupported value: '{param}' does not support {value} with this model. Only the "
                f"default ({default}) value is supported.",
                param=param,
                code="unsupported_value",
            )


def _unsupported(param: str, hint: str = "") -> ApiError:
    return ApiError(
        400,
        f"Unsupported parameter: '{param}' is not supported with this model.{hint}",
        param=param,
        code="unsupported_parameter",
    )
