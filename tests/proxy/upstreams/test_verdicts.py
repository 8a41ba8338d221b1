"""Whom a failure speaks against, and where the request goes next."""

from typing import Any

import pytest

from proxy.errors import (
    AnswerBroken,
    UpstreamError,
    UpstreamHungUp,
    UpstreamNotReached,
    UpstreamRefused,
    UpstreamTimedOut,
)
from proxy.upstreams.verdicts import Blame, Next, judge


def refused(status: int, **error: Any) -> UpstreamRefused:
    return UpstreamRefused(status, error, None)


@pytest.mark.parametrize(
    ("error", "blame", "then"),
    [
        (refused(401), Blame.KEY_REVOKED, Next.KEY),
        (refused(401, code="invalid_api_key"), Blame.KEY_REVOKED, Next.KEY),
        (refused(401, code="missing_scope"), Blame.KEY_BUSY, Next.KEY),
        (refused(403, code="account_deactivated"), Blame.KEY_REVOKED, Next.KEY),
        (refused(403, message="Your API key may not."), Blame.KEY_REVOKED, Next.KEY),
        (refused(403, message="Not in your country."), Blame.NOBODY, Next.ROUTE),
        (refused(403, message="Flagged as harmful."), Blame.NOBODY, Next.NOWHERE),
        (
            refused(500, message="prompt is too long: 9 tokens > 8 maximum"),
            Blame.NOBODY,
            Next.NOWHERE,
        ),
        (
            refused(404, message="No endpoints found that support tool use."),
            Blame.NOBODY,
            Next.NOWHERE,
        ),
        (refused(402), Blame.KEY_EXHAUSTED, Next.KEY),
        (refused(429), Blame.KEY_BUSY, Next.KEY),
        (refused(429, code="insufficient_quota"), Blame.KEY_EXHAUSTED, Next.KEY),
        (refused(429, message="You exceeded your current quota."), Blame.KEY_EXHAUSTED, Next.KEY),
        (
            refused(429, code="rate_limit_exceeded", message="Add a payment method for more."),
            Blame.KEY_BUSY,
            Next.KEY,
        ),
        (refused(429, type="requests", message="See billing."), Blame.KEY_BUSY, Next.KEY),
        (refused(400, type="billing_error"), Blame.KEY_EXHAUSTED, Next.KEY),
        (refused(404, code="model_not_found"), Blame.ROUTE, Next.ROUTE),
        (refused(404), Blame.NOBODY, Next.ROUTE),
        (refused(307), Blame.ROUTE, Next.ROUTE),
        (refused(500), Blame.ROUTE, Next.ROUTE),
        (refused(502), Blame.ROUTE, Next.ROUTE),
        (refused(503), Blame.ROUTE, Next.ROUTE),
        (refused(504), Blame.ROUTE, Next.NOWHERE),
        (refused(408), Blame.ROUTE, Next.NOWHERE),
        (refused(524), Blame.ROUTE, Next.NOWHERE),
        (UpstreamNotReached("ClientConnectorError"), Blame.PROVIDER, Next.ROUTE),
        (UpstreamHungUp("ServerDisconnectedError"), Blame.ROUTE, Next.ROUTE),
        (UpstreamTimedOut("no answer in time"), Blame.ROUTE, Next.NOWHERE),
        (AnswerBroken("cut"), Blame.ROUTE, Next.NOWHERE),
    ],
)
def test_it_judges(error: UpstreamError, blame: Blame, then: Next) -> None:
    verdict = judge(error)

    assert (verdict.blame, verdict.next) == (blame, then)


@pytest.mark.parametrize(
    "message",
    ["'metadata.balance' must be a string.", "Unknown parameter: 'credit'.", "api key quota"],
)
def test_a_customers_words_cant_spare_our_keys(message: str) -> None:
    assert judge(refused(400, message=message)).blame is Blame.NOBODY


@pytest.mark.parametrize(
    "message",
    [
        "The tool 'get_account_balance' is not allowed here.",
        '"my credit" was flagged as harmful.',
        "`billing api_key` is not a value of this field.",
    ],
)
def test_what_a_403_quotes_of_a_customer_cant_spare_our_keys(message: str) -> None:
    assert judge(refused(403, message=message)).blame is Blame.NOBODY
    assert judge(refused(403, message=f"{message} No credit.")).blame is Blame.KEY_EXHAUSTED


def test_its_summary_has_no_words_of_the_upstream() -> None:
    verdict = judge(refused(401, message="Bad key sk-123", code="sk-123 at https://acme.test"))

    assert verdict.summary == "401"
    assert judge(refused(429, code="rate_limit_exceeded")).summary == "429 rate_limit_exceeded"
