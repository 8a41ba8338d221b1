"""Usage in chat's form, and as a fault distorts it."""

from typing import Any

from sandbox.upstream.answers import Answer, Directives
from sandbox.upstream.counting import PromptCount
from sandbox.upstream.faults import Fault

Usage = dict[str, Any]


def sum_usage(prompt: PromptCount, choices: list[Answer], directives: Directives) -> Usage:
    """What a request used in all its choices."""
    completion = sum([answer.tokens for answer in choices])
    return {
        "prompt_tokens": prompt.total,
        "completion_tokens": completion,
        "total_tokens": prompt.total + completion,
        "prompt_tokens_details": {
            "cached_tokens": min(directives.cached_tokens, prompt.total),
            "audio_tokens": prompt.audio,
        },
        "completion_tokens_details": {
            "reasoning_tokens": sum([answer.reasoning_tokens for answer in choices]),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def distort(fault: Fault | None, usage: Usage, *, max_tokens: int) -> Usage | None:
    """The usage as this fault reports it; None if it reports none."""
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    match fault:
        case Fault(name="no-usage"):
            return None
        case Fault(name="zero-usage"):
            usage = _counts(usage, prompt=0, completion=0, cached=0, reasoning=0)
        case Fault(name="negative-usage") if completion:
            usage = _counts(usage, prompt=prompt, completion=-completion)
        case Fault(name="negative-usage"):
            usage = _counts(usage, prompt=-prompt, completion=0)
        case Fault(name="string-usage"):
            counts = {key: str(value) for key, value in usage.items() if isinstance(value, int)}
            usage = {**usage, **counts}
        case Fault(name="cached-over-prompt"):
            usage = _counts(usage, prompt=prompt, completion=completion, cached=prompt + 1)
        case Fault(name="usage-over-max"):
            usage = _counts(usage, prompt=prompt, completion=max_tokens + fault.count)
    return usage


def most_tokens(max_tokens: int | None, choices: list[Answer]) -> int:
    """The most that all choices together may have; without a maximum, as long as the longest."""
    return len(choices) * (max_tokens or max(answer.tokens for answer in choices))


def _counts(
    usage: Usage,
    *,
    prompt: int,
    completion: int,
    cached: int | None = None,
    reasoning: int | None = None,
) -> Usage:
    prompt_details = dict(usage["prompt_tokens_details"])
    completion_details = dict(usage["completion_tokens_details"])
    if cached is not None:
        prompt_details["cached_tokens"] = cached
    if reasoning is not None:
        completion_details["reasoning_tokens"] = reasoning
    return {
        **usage,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": completion_details,
    }
