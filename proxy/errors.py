"""The errors that a request can meet, and what the client is told of each.

    ProxyError
    ├── ApiError                     becomes an answer in OpenAI's envelope
    │   ├── Defect                   500  our own, with no details
    │   ├── InvalidRequest           400  the client's fault, nothing was done
    │   │   ├── ModelRefused         400  or another 4xx: the upstream's own answer, reworded
    │   │   ├── ContextUnknown       400  context_not_known, of a model that is sent a file
    │   │   ├── PayloadTooLarge      413
    │   │   ├── RequestTooSlow       408  it did not arrive in time
    │   │   ├── HeadersTooLarge      431
    │   │   └── UnsupportedMediaType 415
    │   ├── AuthenticationFailed     401  invalid_api_key
    │   ├── NetworkRefused           401  ip_not_authorized, not from this address
    │   ├── KeyPaused                403  api_key_paused, until its owner resumes it
    │   ├── RoleRefused              403  role_not_allowed, of the key's maker in its team
    │   ├── AccountFrozen            403  account_frozen, until a person lifts it
    │   ├── HttpsRequired            403  https_required, where the site has https
    │   ├── NotFound                 404
    │   │   ├── PathNotFound              not_found
    │   │   ├── ModelNotFound             model_not_found
    │   │   ├── ReceiptNotFound           not_found
    │   │   ├── PackNotFound              pack_not_found
    │   │   └── EndpointNotServed         model_not_supported, by no route at this endpoint
    │   ├── MethodNotAllowed         405  method_not_allowed
    │   ├── InsufficientQuota        429  insufficient_quota, never retried by SDKs
    │   ├── RateLimitExceeded        429  rate_limit_exceeded, with when to retry
    │   ├── TokenLimitExceeded       429  rate_limit_exceeded, waiting would not help
    │   ├── WalletUnavailable         503  the wallet did not answer, so the request is refused
    │   ├── BooksUnavailable         503  service_unavailable, PostgreSQL or Stripe is away
    │   ├── ServerBusy               503  server_busy, this process can't take more of it now
    │   └── UpstreamUnavailable      502, 503 or 504
    ├── UpstreamError                an upstream did not serve a request
    │   ├── UpstreamNotReached       no connection
    │   │   └── UpstreamHungUp       it closed at once, without a byte: it can't have run
    │   ├── UpstreamRefused          an answer other than 200
    │   ├── UpstreamTimedOut         no answer in time; it may have run
    │   └── AnswerBroken             the answer did not come whole, though the request was sent
    │       └── MalformedAnswer      it came, and is not what was asked for
    ├── Interrupted                  a wait that was ended from outside, for a `Reason`
    ├── ClientLeft                   nobody is there to answer
    ├── ImpossibleUsage              an upstream's figures can't be true
    ├── EventTooLarge                an upstream's event has no end in sight
    ├── VocabularyDamaged            a tokenizer's file is not the one that was published
    └── SetupError                   staff asked for what can't be
        ├── InvalidRule              a rule for parameters that can't be followed
        ├── InvalidAddress           a base URL that requests may not be sent to
        └── InvalidProvider          a provider that can't be set up like that
    BillingError                     (billing's: the desk shows these to staff)
    ├── HealthUnknown                Redis, which knows the health of upstreams, does not answer
    ├── NotTried                     there is nothing to try
    ├── TrialFailed                  a try was not answered well
    ├── NotAnswered                  a provider does not tell what we ask of our account
    ├── NotSynced                    a provider's list of models can't be used
    ├── BadUsageReport               a report of our usage that can't be read
    └── BadPriceList                 a price list that can't be read, or changes nothing of ours

Messages are written for customers: no host, key or organisation of an upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from math import ceil
from typing import Any

from billing.exceptions import BillingError


class ProxyError(Exception):
    """Everything this app raises on purpose."""


class ApiError(ProxyError):
    """An answer other than 200. `headers` go out with it."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = dict(headers or {})
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status

    def envelope(self) -> dict[str, dict[str, str | None]]:
        """Give the body of the answer, always with all four keys."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class Defect(ApiError):
    def __init__(self) -> None:
        super().__init__("Something went wrong on our side. Try again in a moment.")


class InvalidRequest(ApiError):
    status = 400
    type = "invalid_request_error"


class ModelRefused(InvalidRequest):
    """The model refused it, as the client's fault. Its code is the upstream's."""


class ContextUnknown(InvalidRequest):
    """A file is sent to a model of which nobody has said how much it reads."""

    code = "context_not_known"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model '{model}' takes no documents, sound or images here, because it is not "
            "known how much it reads of them. The operator can enter its context (context_tokens).",
            param="model",
        )


class PayloadTooLarge(InvalidRequest):
    status = 413
    code = "payload_too_large"


class RequestTooSlow(InvalidRequest):
    status = 408
    code = "request_timeout"

    def __init__(self) -> None:
        super().__init__("The request did not arrive in time. Send it again.")


class HeadersTooLarge(InvalidRequest):
    status = 431
    code = "headers_too_large"

    def __init__(self) -> None:
        super().__init__("The request's headers are too many or too large.")


class UnsupportedMediaType(InvalidRequest):
    status = 415
    code = "unsupported_media_type"


class AuthenticationFailed(ApiError):
    """No usable key. The answer does not say whether it is unknown, revoked or expired."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"

    def __init__(
        self, message: str = "Incorrect API key provided.", *, ended: str | None = None
    ) -> None:
        # Why, for staff, if the key was one of ours.
        self.ended = ended
        super().__init__(
            f"{message} Send your API key in the Authorization header (Authorization: Bearer "
            "YOUR_API_KEY); your keys are in the dashboard.",
            headers={"WWW-Authenticate": "Bearer"},
        )


class NetworkRefused(ApiError):
    status = 401
    type = "invalid_request_error"
    # OpenAI's name for it.
    code = "ip_not_authorized"

    def __init__(self, address: str) -> None:
        super().__init__(
            f"This API key may not be used from your address ({address or 'unknown'}). "
            "Its owner chooses the allowed networks in the dashboard."
        )


class KeyPaused(ApiError):
    status = 403
    type = "permission_error"
    code = "api_key_paused"

    def __init__(self) -> None:
        super().__init__(
            "This API key is paused. Its owner can resume it in the dashboard.",
            headers={"x-should-retry": "false"},
        )


class HttpsRequired(ApiError):
    status = 403
    type = "invalid_request_error"
    code = "https_required"

    def __init__(self, address: str) -> None:
        super().__init__(
            f"This site is reached by https alone: {address}. Whoever read this request has its"
            " API key, so rotate that key.",
            headers={"x-should-retry": "false"},
        )


class RoleRefused(ApiError):
    status = 403
    type = "permission_error"
    code = "role_not_allowed"

    def __init__(self) -> None:
        super().__init__(
            "Whoever made this API key may not do this in its team: an owner, or somebody who"
            " looks after its billing, can.",
            headers={"x-should-retry": "false"},
        )


class AccountFrozen(ApiError):
    status = 403
    type = "permission_error"
    code = "account_frozen"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class NotFound(ApiError):
    status = 404
    type = "invalid_request_error"


class PathNotFound(NotFound):
    code = "not_found"

    def __init__(self, method: str, path: str, hint: str = "") -> None:
        super().__init__(f"There is nothing at {method} {path[:200]}.{hint and ' '}{hint}")


class MethodNotAllowed(ApiError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, method: str, *, allowed: str) -> None:
        super().__init__(
            f"{method} is not allowed here; use {allowed}.", headers={"Allow": allowed}
        )


class ModelNotFound(NotFound):
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model `{model}` does not exist or you do not have access to it.", param="model"
        )


class ReceiptNotFound(NotFound):
    code = "not_found"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"This API key has no receipt for the request `{request_id}`. Requests that no model "
            "accepted cost nothing and have none.",
            param="request_id",
        )


class PackNotFound(NotFound):
    code = "pack_not_found"

    def __init__(self, message: str = "No pack with this slug is on sale.") -> None:
        super().__init__(message, param="pack")


class EndpointNotServed(NotFound):
    code = "model_not_supported"

    def __init__(self, model: str, path: str) -> None:
        super().__init__(f"The model `{model}` is not served at /v1{path}.", param="model")


class InsufficientQuota(ApiError):
    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str) -> None:
        # Official SDKs retry every 429 unless this header forbids it.
        super().__init__(message, headers={"x-should-retry": "false"})


class RateLimitExceeded(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(
        self, message: str, *, retry_after_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers=headers)
        # Rounded up to whole seconds: a client that obeys must not come too early.
        self.headers["Retry-After"] = str(ceil(retry_after_s))
        self.headers["retry-after-ms"] = str(ceil(retry_after_s * 1000))


class TokenLimitExceeded(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class WalletUnavailable(ApiError):
    status = 503
    code = "wallet_recovering"

    def __init__(
        self, message: str = "Balances are being restored. Try again in a moment."
    ) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class BooksUnavailable(ApiError):
    status = 503
    code = "service_unavailable"

    def __init__(
        self, message: str = "The service is not available right now. Try again in a moment."
    ) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class ServerBusy(ApiError):
    """This process can take no more of such work now."""

    status = 503
    code = "server_busy"

    def __init__(
        self, message: str = "This server is busy with other requests. Try again in a moment."
    ) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class UpstreamUnavailable(ApiError):
    status = 503
    code = "upstream_unavailable"

    def __init__(
        self,
        message: str = "The model is not available right now. Try again in a moment.",
        *,
        status: int = 503,
    ) -> None:
        if status not in {502, 503, 504}:
            raise ValueError(f"an upstream's trouble is 502, 503 or 504, not {status}")
        super().__init__(message, status=status)


class UpstreamError(ProxyError):
    """An upstream did not serve a request. Its message is for staff."""

    # How long the upstream asks us to wait, if it said so.
    retry_after_s: float | None = None


class UpstreamNotReached(UpstreamError):
    """There was no connection."""


class UpstreamHungUp(UpstreamNotReached):
    """The connection closed at once, before a byte of an answer: the request can't have run."""


class UpstreamRefused(UpstreamError):
    """An answer other than 200. `error` is the error object of its body, if it had one."""

    def __init__(self, status: int, error: dict[str, Any], retry_after_s: float | None) -> None:
        super().__init__(f"the upstream answered {status}")
        self.status = status
        self.error = error
        self.retry_after_s = retry_after_s


class UpstreamTimedOut(UpstreamError):
    """No answer in time. The request may have run, so it is not sent elsewhere."""


class AnswerBroken(UpstreamError):
    """The answer did not come whole. The request has run, or may have."""


class MalformedAnswer(AnswerBroken):
    """A 200 whose body is not a completion."""


class Reason(Enum):
    """Why a request was interrupted."""

    CLIENT_LEFT = "the client left"
    CLIENT_TOO_SLOW = "the client read too slowly"
    NO_ANSWER = "no answer in time"
    SILENCE = "silence in the middle of an answer"
    TOO_LONG = "the answer took too long"
    DRAIN = "this process is about to stop"


CLIENT_REASONS = frozenset({Reason.CLIENT_LEFT, Reason.CLIENT_TOO_SLOW})
# Reasons that speak against an upstream. TOO_LONG is not one: customers can ask for long answers.
UPSTREAM_REASONS = frozenset({Reason.NO_ANSWER, Reason.SILENCE})
TIME_REASONS = frozenset({Reason.NO_ANSWER, Reason.SILENCE, Reason.TOO_LONG})


class Interrupted(ProxyError):
    """A wait that was ended from outside."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def is_client_gone(error: BaseException | None) -> bool:
    """Tell whether an error means that the client is gone."""
    if isinstance(error, Interrupted):
        return error.reason in CLIENT_REASONS
    return isinstance(error, ClientLeft)


def is_upstreams_fault(error: BaseException | None) -> bool:
    """Tell whether an answer that began and then broke speaks against its upstream."""
    if isinstance(error, Interrupted):
        return error.reason in UPSTREAM_REASONS
    return isinstance(error, UpstreamError)


class ClientLeft(ProxyError):
    """The client closed its connection before its request was read."""


class ImpossibleUsage(ProxyError):
    """Figures that can't be true. `raw` is what the upstream sent, for staff."""

    def __init__(self, reason: str, raw: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw


class EventTooLarge(ProxyError):
    """An event over the limit. `events` are the bytes of the whole ones that came before it."""

    def __init__(self, limit_bytes: int, events: Sequence[bytes]) -> None:
        super().__init__(f"an event is longer than {limit_bytes} bytes")
        self.events = tuple(events)


class VocabularyDamaged(ProxyError):
    """A vocabulary file is not the one that was published."""


class SetupError(ProxyError):
    """A request by staff that can't be carried out; the message says why."""


class InvalidRule(SetupError):
    """A rule that can't be followed."""


class InvalidAddress(SetupError):
    """A base URL that requests may not be sent to."""


class InvalidProvider(SetupError):
    """A provider that can't be set up as asked."""


class HealthUnknown(BillingError):
    """Redis does not answer."""


class NotTried(BillingError):
    """There is nothing to try; the message says what is missing."""


class TrialFailed(BillingError):
    """A trial did not get a good answer; the message has the result."""


class NotAnswered(BillingError):
    """A provider does not tell what we ask of our own; the message says why, for staff.

    `status` is None if no answer came, or none that can be read.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class NotSynced(BillingError):
    """A provider's list of models can't be read or used."""


class BadPriceList(BillingError):
    """A provider's price list that can't be read or has none of our routes."""


class BadUsageReport(BillingError):
    """A provider's report of what we used that can't be read."""
