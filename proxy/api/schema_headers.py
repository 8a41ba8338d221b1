"""The statuses and headers of answers, for the schema of our own endpoints."""

from collections.abc import Sequence

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

LIMITED = {
    "limit-requests": "Requests per minute that are allowed.",
    "remaining-requests": "How many of them are left now.",
    "reset-requests": "How long until all of them are back, such as `1.5s`.",
    "limit-tokens": "Prompt and completion tokens per minute that are allowed.",
    "remaining-tokens": "How many of them are left now.",
    "reset-tokens": "How long until all of them are back.",
}


def _header(
    name: str,
    description: str,
    *,
    on: bool | Sequence[int | str],
    kind: OpenApiTypes = OpenApiTypes.STR,
    is_always: bool = False,
) -> OpenApiParameter:
    return OpenApiParameter(
        name,
        kind,
        OpenApiParameter.HEADER,
        required=is_always,
        response=on if isinstance(on, bool) else list(on),
        description=description,
    )


def _limits(on: Sequence[int | str]) -> list[OpenApiParameter]:
    return [_header(f"x-ratelimit-{name}", text, on=on) for name, text in LIMITED.items()]


OF_EVERY_ANSWER = [
    _header(
        "x-request-id", "The request's id, which its receipt has too.", on=True, is_always=True
    ),
    _header(
        "openai-processing-ms",
        "How long the request took on our side.",
        on=True,
        kind=OpenApiTypes.INT,
        is_always=True,
    ),
    _header("WWW-Authenticate", "That a key is wanted.", on=[401]),
    _header("Retry-After", "How long to wait, in seconds.", on=[429, 503], kind=OpenApiTypes.INT),
    _header("retry-after-ms", "The same in milliseconds.", on=[429], kind=OpenApiTypes.INT),
    _header("x-should-retry", "`false`: sent again, it fails again.", on=[403, 409, 429]),
]
OF_READING = _limits([429])
OF_CALLING_A_MODEL = [
    *_limits([200, 429]),
    OpenApiParameter(
        "Idempotency-Key",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The same key and body get the same answer without a second charge, for as "
        "long as it is kept. At most 255 characters.",
    ),
    _header(
        "x-tokenproxy-max-tokens",
        "If you named no maximum: the one that was sent to the model.",
        on=[200],
        kind=OpenApiTypes.INT,
    ),
    _header(
        "x-tokenproxy-ignored-fields",
        "Fields and tools of the request that the model's provider was not sent.",
        on=[200],
    ),
    _header(
        "x-tokenproxy-credits-charged",
        "What an answer in one piece was charged.",
        on=[200],
        kind=OpenApiTypes.INT,
    ),
    _header(
        "x-tokenproxy-replay-of",
        "If the answer was kept for this `Idempotency-Key`: the first request's id.",
        on=[200],
    ),
]

COMMON_ERRORS = {
    401: "No usable API key.",
    429: "Too fast (`rate_limit_exceeded`).",
    503: "Try again in a moment.",
}
BODY_ERRORS = {
    400: "The request is not valid; `param` names what is wrong.",
    413: "The body is too large.",
    415: "The body is not JSON.",
}
CALL_ERRORS = {
    403: "The account is frozen, or the call came without TLS.",
    404: "No such model, or not for this key.",
    409: "The `Idempotency-Key` was used for another body, or its answer was too large to keep.",
    429: "Out of balance (`insufficient_quota`), or too fast (`rate_limit_exceeded`).",
    502: "The model's provider failed.",
    504: "The model's provider did not answer in time.",
}
