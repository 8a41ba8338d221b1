"""What can go wrong on the way of a request, and what the client is told.

    ProxyError
    ├── ApiError                     becomes an answer in OpenAI's envelope
    │   ├── InvalidRequest           400  the client's fault, nothing was done
    │   │   ├── PayloadTooLarge      413
    │   │   └── UnsupportedMediaType 415
    │   ├── AuthenticationFailed     401  invalid_api_key
    │   ├── NetworkRefused           401  ip_not_authorized, not from this address
    │   ├── AccountFrozen            403  account_frozen, until a person lifts it
    │   ├── PathNotFound             404  not_found
    │   ├── ModelNotFound            404  model_not_found
    │   ├── ReceiptNotFound          404  not_found
    │   ├── PackNotFound             404  pack_not_found
    │   ├── EndpointNotServed        404  model_not_supported, by no route at this endpoint
    │   ├── MethodNotAllowed         405  method_not_allowed
    │   ├── InsufficientQuota        429  insufficient_quota, never retried by SDKs
    │   ├── RateLimited              429  rate_limit_exceeded, with when to retry
    │   ├── RequestTooLarge          429  rate_limit_exceeded, waiting would not help
    │   ├── WalletRecovering         503  no answer from the wallet means no
    │   ├── BooksUnavailable         503  service_unavailable, PostgreSQL or Stripe is away
    │   └── UpstreamUnavailable      502, 503 or 504
    ├── ClientLeft                   nobody is there to answer
    ├── ImpossibleUsage              an upstream's figures can't be true
    ├── MalformedAnswer              an upstream's answer is not what was asked for
    └── EventTooLarge                an upstream's event has no end in sight

Messages are written for customers: no host, key or organisation of an upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.metering.sse import Event


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


class InvalidRequest(ApiError):
    status = 400
    type = "invalid_request_error"


class PayloadTooLarge(InvalidRequest):
    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(InvalidRequest):
    status = 415
    code = "unsupported_media_type"


class AuthenticationFailed(ApiError):
    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class NetworkRefused(ApiError):
    status = 401
    type = "invalid_request_error"
    # OpenAI's name for it.
    code = "ip_not_authorized"


class AccountFrozen(ApiError):
    status = 403
    type = "permission_error"
    code = "account_frozen"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class PathNotFound(ApiError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"There is nothing at {method} {path[:200]}.")


class MethodNotAllowed(ApiError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, method: str, *, allowed: str) -> None:
        super().__init__(
            f"{method} is not allowed here; use {allowed}.", headers={"Allow": allowed}
        )


class ModelNotFound(ApiError):
    status = 404
    type = "invalid_request_error"
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model `{model}` does not exist or you do not have access to it.", param="model"
        )


class ReceiptNotFound(ApiError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"This API key has no receipt for the request `{request_id}`. Requests that no model "
            "accepted cost nothing and have none.",
            param="request_id",
        )


class PackNotFound(ApiError):
    status = 404
    type = "invalid_request_error"
    code = "pack_not_found"

    def __init__(self) -> None:
        super().__init__("No pack with this slug is on sale.", param="pack")


class EndpointNotServed(ApiError):
    status = 404
    type = "invalid_request_error"
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


class RateLimited(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(
        self, message: str, *, retry_after_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers=headers)
        # Whole seconds round up: a client that obeys must not come too early.
        self.headers["Retry-After"] = str(ceil(retry_after_s))
        self.headers["retry-after-ms"] = str(ceil(retry_after_s * 1000))


class RequestTooLarge(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class WalletRecovering(ApiError):
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


class ClientLeft(ProxyError):
    """The client closed its connection before its request was read."""


class ImpossibleUsage(ProxyError):
    """Figures that can't be true. `raw` is what the upstream sent, for staff."""

    def __init__(self, reason: str, raw: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw


class MalformedAnswer(ProxyError):
    """A 200 whose body is not a completion."""


class EventTooLarge(ProxyError):
    """An event over the limit. `events` are the whole ones that came before it."""

    def __init__(self, limit_bytes: int, events: Sequence[Event]) -> None:
        super().__init__(f"an event is longer than {limit_bytes} bytes")
        self.events = tuple(events)
