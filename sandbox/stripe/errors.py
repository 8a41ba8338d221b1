"""Stripe's errors, with the status and envelope that its SDKs expect.

StripeError
├── InvalidRequest          400  a semantic refusal; kept under its idempotency key
│   ├── InvalidParameter    400  refused before anything ran; not kept under an idempotency key
│   └── ResourceMissing     404  (400 when the id came in a parameter)
├── CardDeclined            402
│   └── PaymentDeclined     402  an attempt that was made and failed: what it wrote stays
├── Unauthenticated         401
├── Forbidden               403  a restricted key that may not do this
├── IdempotencyMismatch     400
├── IdempotencyInUse        409
├── RateLimited             429  nothing ran; not kept under an idempotency key
└── InternalError           500  kept under an idempotency key: a retry gets it again
"""

from typing import Any, ClassVar


class StripeError(Exception):
    """What the API answers instead of an object."""

    status: int = 400
    type: ClassVar[str] = "invalid_request_error"
    # Whether a retry under the same idempotency key gets this very answer again.
    is_kept: ClassVar[bool] = True
    # Whether the call did something nevertheless, which then is committed with this answer.
    has_effects: ClassVar[bool] = False

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, **extra: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.extra = extra

    def envelope(self, request_log_url: str | None = None) -> dict[str, Any]:
        """Return the body; keys without a value are left out, as Stripe does."""
        fields = {
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "request_log_url": request_log_url,
            "type": self.type,
            **self.extra,
        }
        return {"error": {key: value for key, value in fields.items() if value is not None}}


class InvalidRequest(StripeError):
    pass


class InvalidParameter(InvalidRequest):
    is_kept = False


class ResourceMissing(InvalidRequest):
    def __init__(self, kind: str, object_id: str, *, param: str, status: int = 404) -> None:
        super().__init__(f"No such {kind}: '{object_id}'", code="resource_missing", param=param)
        self.status = status


class UnknownUrl(InvalidRequest):
    status = 404
    is_kept = False


class CardDeclined(StripeError):
    status = 402
    type = "card_error"


class PaymentDeclined(CardDeclined):
    has_effects = True


class Unauthenticated(StripeError):
    status = 401
    is_kept = False


class Forbidden(StripeError):
    status = 403
    is_kept = False


class IdempotencyMismatch(StripeError):
    type = "idempotency_error"
    is_kept = False


class IdempotencyInUse(StripeError):
    status = 409
    type = "invalid_request_error"
    is_kept = False


class RateLimited(StripeError):
    status = 429
    is_kept = False


class InternalError(StripeError):
    """Trouble of Stripe's own: whether anything happened has to be looked up.

    "including 500 errors", says https://docs.stripe.com/api/idempotent_requests of what is kept.
    """

    status = 500
    type = "api_error"
