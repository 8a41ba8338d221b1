from pathlib import Path

import pytest

from proxy import errors as ex


def subclasses(base: type[BaseException]) -> set[type[BaseException]]:
    return {found for child in base.__subclasses__() for found in {child} | subclasses(child)}


def test_it_draws_every_exception() -> None:
    drawn = ex.__doc__ or ""

    names = {kind.__name__ for kind in subclasses(ex.ProxyError) if kind.__module__ == ex.__name__}

    assert {name for name in names if f"── {name} " not in drawn} == set()


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (ex.InvalidRequest("m"), 400, "invalid_request_error", None),
        (ex.PayloadTooLarge("m"), 413, "invalid_request_error", "payload_too_large"),
        (ex.UnsupportedMediaType("m"), 415, "invalid_request_error", "unsupported_media_type"),
        (ex.AuthenticationFailed("m"), 401, "invalid_request_error", "invalid_api_key"),
        (ex.ModelNotFound("gpt-9"), 404, "invalid_request_error", "model_not_found"),
        (ex.InsufficientQuota("m"), 429, "insufficient_quota", "insufficient_quota"),
        (
            ex.RateLimitExceeded("m", retry_after_s=1),
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
        ),
        (ex.WalletUnavailable(), 503, "server_error", "wallet_recovering"),
        (ex.BooksUnavailable(), 503, "server_error", "service_unavailable"),
        (ex.UpstreamUnavailable(status=504), 504, "server_error", "upstream_unavailable"),
    ],
)
def test_it_answers_in_the_envelope(
    error: ex.ApiError, status: int, kind: str, code: str | None
) -> None:
    assert error.status == status
    assert error.envelope() == {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.param,
            "code": code,
        }
    }


def test_the_documentation_explains_every_code() -> None:
    page = Path("templates/docs/pages/en/errors.md").read_text()
    codes = {getattr(kind, "code", None) for kind in subclasses(ex.ApiError)} - {None}

    assert {code for code in codes if f"`{code}`" not in page} == set()


def test_it_keeps_sdks_from_retrying_an_empty_balance() -> None:
    assert ex.InsufficientQuota("m").headers == {"x-should-retry": "false"}


def test_it_tells_when_to_come_back_and_never_too_early() -> None:
    headers = ex.RateLimitExceeded("m", retry_after_s=1.2001, headers={"x-a": "b"}).headers

    assert headers == {"Retry-After": "2", "retry-after-ms": "1201", "x-a": "b"}


def test_it_knows_only_three_troubles_of_an_upstream() -> None:
    with pytest.raises(ValueError, match="not 401"):
        ex.UpstreamUnavailable(status=401)
