"""Errors in OpenAI's envelope."""

import orjson

Headers = list[tuple[bytes, bytes]]


class ApiError(Exception):
    """An answer other than success: a status and OpenAI's error envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers: Headers = headers or []

    def body(self) -> bytes:
        """The error as the bytes of its JSON envelope."""
        return orjson.dumps(
            {
                "error": {
                    "message": self.message,
                    "type": self.kind,
                    "param": self.param,
                    "code": self.code,
                }
            }
        )


def model_not_found(model: str) -> ApiError:
    """The 404 for a model that this provider does not have."""
    return ApiError(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        param="model",
        code="model_not_found",
    )
