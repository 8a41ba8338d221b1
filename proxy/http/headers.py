"""The headers that report limits, maxima and charges."""

from common.rates import RateState


def rate_limit_headers(rate: RateState) -> dict[str, str]:
    """Return the state of the limits per minute, under OpenAI's header names."""
    requests, tokens = rate
    return {
        "x-ratelimit-limit-requests": str(requests.limit),
        "x-ratelimit-limit-tokens": str(tokens.limit),
        "x-ratelimit-remaining-requests": str(requests.remaining),
        "x-ratelimit-remaining-tokens": str(tokens.remaining),
        "x-ratelimit-reset-requests": duration(requests.reset_ms),
        "x-ratelimit-reset-tokens": duration(tokens.reset_ms),
    }


def duration(milliseconds: int) -> str:
    """Write a duration as OpenAI does: 120ms, 1.5s, 6m0s."""
    if milliseconds < 1_000:
        return f"{max(0, milliseconds)}ms"
    minutes, rest_ms = divmod(milliseconds, 60_000)
    seconds = f"{rest_ms / 1_000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds
