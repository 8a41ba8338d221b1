"""Which words of an upstream reach the client."""

from typing import Any

import pytest

from proxy.errors import UpstreamRefused
from proxy.upstreams.client_errors import GENERIC, to_client_error
from tests.proxy.upstreams.stage import make_key, make_route, make_upstream

ROUTE = make_route(make_upstream("acme", keys=[make_key("sk-abc123")]), "acme-large-7")


def told(status: int, **error: Any) -> Any:
    return to_client_error(UpstreamRefused(status, error, None), ROUTE, "gpt-4")


def test_it_passes_on_what_is_wrong_with_the_request() -> None:
    error = told(
        400,
        message="The context of acme-large-7 is 8192 tokens.",
        param="messages",
        code="too_long",
    )

    assert error.message == "The context of gpt-4 is 8192 tokens."
    assert (error.status, error.param, error.code) == (400, "messages", "too_long")


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 408, 429, 500, 503])
def test_it_takes_every_other_status_for_our_own_trouble(status: int) -> None:
    assert told(status, message="whatever") is None


@pytest.mark.parametrize(
    "error",
    [
        {"message": "You exceeded your current quota."},
        {"message": "Your credit balance is too low."},
        {"message": "No.", "code": "insufficient_quota"},
        {"message": "No.", "type": "billing_error"},
        {"message": "Incorrect API key provided."},
        # An apostrophe opens no quotation.
        {"message": "You've used up your quota; it's time for more."},
        {"message": "We can't bill your organization's card, so it won't do."},
        {"message": "The model's users' credit isn't enough for 'gpt-4'."},
    ],
)
def test_it_takes_our_account_for_our_own_trouble_whatever_the_status(
    error: dict[str, str],
) -> None:
    assert told(400, **error) is None


@pytest.mark.parametrize(
    "message",
    [
        "Invalid schema for function 'get_account_balance': 'type' is missing.",
        "Unknown parameter: 'payment'.",
        'The value "credit" is not one of those allowed.',
        "The tool set_billing_address was called without an answer.",
    ],
)
def test_a_clients_own_names_do_not_make_its_mistake_ours(message: str) -> None:
    error = told(400, message=message, code="invalid_value")

    assert (error.status, error.message) == (400, message)


@pytest.mark.parametrize(
    "message",
    [
        "See https://acme.example/docs",
        "Ask support@acme.example",
        "The host api.acme.com is busy",
        "Request req_8f3a failed",
        "In project proj_123",
        "The key sk-abc123 may not",
        "acme does not like this",
        "10.0.0.7 refused",
        "x" * 1_001,
        "",
        None,
        ["a list"],
    ],
)
def test_it_says_no_more_than_that_it_was_refused_if_the_words_may_name_the_upstream(
    message: object,
) -> None:
    assert told(400, message=message).message == GENERIC


@pytest.mark.parametrize("code", [7, None, "Has Spaces", "https://acme.example", "x" * 99])
def test_it_drops_a_code_that_is_none(code: object) -> None:
    assert told(400, message="No.", code=code).code is None
