"""The headers in which an answer tells of limits, maxima and charges."""


def rate_limit_headers(*, limit: int, remaining: int, reset_ms: int) -> dict[str, str]:
    """Return the requests-per-minute headers as OpenAI names them."""
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(max(0, remaining)),
        "x-ratelimit-reset-requests": duration(reset_ms),
    }


def duration(milliseconds: int) -> str:
    """Write a duration as OpenAI does: 120ms, 1.5s, 6m0s."""
    if milliseconds < 1_000:
        return f"{max(0, milliseconds)}ms"
    minutes, rest_ms = divmod(milliseconds, 60_000)
    seconds = f"{rest_ms / 1_000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds
