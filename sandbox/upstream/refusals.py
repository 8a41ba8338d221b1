"""Faults that strike before an answer: errors, pages, hang-ups and delays."""

from collections.abc import Callable

from sandbox.upstream.errors import ApiError
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.faults import Fault
from sandbox.upstream.provider import NAME, ORGANISATION, Provider
from sandbox.upstream.tally import Record

HTML_PAGE = b"<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>"
REDIRECT_PATH = "/redirected"


def incorrect_key(presented: str) -> ApiError:
    """The 401 for a wrong key."""
    return ApiError(
        401,
        f"Incorrect API key provided: {presented}. You can find your API key at the provider.",
        code="invalid_api_key",
    )


def _server_error() -> ApiError:
    return ApiError(
        500, "The server had an error while processing your request.", kind="server_error"
    )


ERRORS: dict[str, Callable[[Fault, Provider], ApiError]] = {
    "500": lambda fault, provider: _server_error(),
    "503": lambda fault, provider: ApiError(
        503, "The engine is currently overloaded, please try again later.", kind="server_error"
    ),
    "429": lambda fault, provider: ApiError(
        429,
        f"Rate limit reached in organization {ORGANISATION} on requests per min (RPM).",
        kind="requests",
        code="rate_limit_exceeded",
        headers=[(b"retry-after", b"%d" % fault.count)],
    ),
    "401": lambda fault, provider: incorrect_key(provider.api_keys[0]),
    "402-quota": lambda fault, provider: ApiError(
        402,
        f"{NAME}: organisation {ORGANISATION} exceeded its current quota, please check your plan "
        "and billing details.",
        kind="insufficient_quota",
        code="insufficient_quota",
    ),
    "429-quota": lambda fault, provider: ApiError(
        429,
        f"You exceeded your current quota, please check your plan and billing details: {NAME}, "
        f"organization {ORGANISATION}.",
        kind="insufficient_quota",
        code="insufficient_quota",
    ),
}


async def strike(
    fault: Fault, exchange: Exchange, provider: Provider, record: Record, conversation: bytes
) -> bool:
    """Apply the fault. True if it has answered; False if the answer comes after all.

    Raises ApiError for the faults that are one, ClientLeft if nobody waited for a slow first byte.
    """
    if fault.name in ERRORS:
        raise ERRORS[fault.name](fault, provider)
    if fault.name == "flaky":
        if provider.fail_again(conversation, fault.count):
            raise _server_error()
        return False
    if fault.name == "slow-first-byte":
        record.is_accepted = True
        await exchange.connection.pause(fault.number)
        return False
    await _answer_otherwise(fault, exchange, record)
    return True


async def _answer_otherwise(fault: Fault, exchange: Exchange, record: Record) -> None:
    if fault.name == "refuse":
        record.refuse(None)
        await exchange.connection.close()
    elif fault.name == "not-json":
        record.refuse(200)
        await exchange.respond(200, HTML_PAGE, b"text/html; charset=utf-8")
    elif fault.name == "redirect":
        record.refuse(307)
        host = exchange.headers.get(b"host", b"127.0.0.1")
        location = (b"location", b"http://" + host + REDIRECT_PATH.encode())
        await exchange.respond(307, b"", headers=[location])
    else:
        raise AssertionError(f"{fault.name} does not strike before an answer")
