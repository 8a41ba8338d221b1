"""schemathesis on the schema that the product publishes of itself."""

import os
from typing import Any
from urllib.parse import urljoin

import httpx
import hypothesis
import pytest
import schemathesis
from answers import check_stream
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from target import API_KEY, BASE_URL

EXAMPLES = int(os.environ.get("CONFORMANCE_EXAMPLES", "25"))
# The site that `/v1` is part of.
SITE = urljoin(BASE_URL, "/")
MODELS = ("gpt-4o", "gpt-3.5-turbo-instruct", "text-embedding-3-small")


ADDRESS = urljoin(SITE, "api/schema/")
if httpx.get(ADDRESS).status_code == 404:
    pytest.skip("the API under test has no schema", allow_module_level=True)
schema = schemathesis.openapi.from_url(ADDRESS)
PATHS = httpx.get(ADDRESS).json()["paths"]
# Headers of our own and of OpenAI's; the rest is HTTP's.
OURS = ("x-", "openai-", "retry-")
# For proxies, which must not hold a stream back, and for browsers, which must not guess.
UNNAMED = {"x-accel-buffering", "x-content-type-options"}


def check_headers_are_named(case: Any, response: Any) -> None:
    """Every header of ours is one that the schema names for this status."""
    answers = PATHS[case.path].get(case.method.lower(), {}).get("responses", {})
    named = answers.get(str(response.status_code), {}).get("headers", {})
    ours = {name.lower() for name in response.headers if name.lower().startswith(OURS)}
    # A method that there is not: the answer to it is described nowhere.
    if response.status_code != 405:
        assert ours - UNNAMED <= {name.lower() for name in named}, (case.path, ours)


@pytest.mark.timeout(240)
@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    # A failure is shown as it was found: making it smaller may take minutes.
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_is_as_published(case: Any) -> None:
    # Some requests name a model that there is, so that more than the refusal of names is tried.
    if isinstance(case.body, dict) and "model" in case.body and len(str(case.body)) % 4:
        case.body["model"] = MODELS[len(str(case.body)) % len(MODELS)]
    headers = {"Authorization": f"Bearer {API_KEY}"}

    response = case.call(base_url=SITE.rstrip("/"), headers=headers, timeout=30)

    if response.status_code == 204:
        # The answer to OPTIONS.
        assert not response.content
        return
    check_headers_are_named(case, response)
    checks = [not_a_server_error, status_code_conformance, content_type_conformance]
    if response.headers["content-type"][0].startswith("text/event-stream"):
        check_stream(response.text)
        case.validate_response(response, checks=[*checks, response_headers_conformance])
        return
    case.validate_response(
        response, checks=[*checks, response_headers_conformance, response_schema_conformance]
    )
