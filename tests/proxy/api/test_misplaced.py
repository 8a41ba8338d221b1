"""Programs that ask for what is not there are told so in JSON; people get pages."""

import httpx
import pytest
from django.conf import settings

from proxy.api.misplaced import is_for_api
from proxy.parsing.endpoints import OUT_OF_SCOPE
from tests.proxy.conftest import Api, Customer, assert_envelope

BASE_URL = f"{settings.SITE_URL}/v1"
MISPLACED = [
    "/chat/completions", "/completions", "/embeddings", "/responses", "/credits",
    "/responses/input_tokens", "/usage/req_1", "/v1/v1/chat/completions", "/v1/v1/models",
    "/v1/v1/models/gpt-4", "/V1/chat/completions", "/V1", "/V1/", "/v1/V1/models",
    "//v1/chat/completions", "/v1//chat/completions", "/api/v1/chat/completions",
    "/openai/v1/responses", "/v2/models", "/v1beta/models",
]  # fmt: skip
PAGES = [
    "/", "/models/", "/models/gpt-4/", "/checkout/small/", "/docs/", "/api/docs/", "/api/schema/",
    "/static/v1/x.js", "/admin/", "/chat/", "/packs/",
]  # fmt: skip


def scope(path: str, **headers: str) -> dict[str, object]:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"path": path, "headers": encoded}


@pytest.mark.parametrize("path", [path for path in MISPLACED if path != "/v1beta/models"])
async def test_a_program_learns_its_base_url(api: Api, alice: Customer, path: str) -> None:
    assert is_for_api(scope(path, accept="*/*", authorization="Bearer x"))

    response = await api.client.post(
        httpx.URL(api.base_url).copy_with(raw_path=path.encode()), headers=alice.headers
    )

    assert response.status_code == 404
    assert f"base URL is {BASE_URL}." in assert_envelope(response, code="not_found")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_a_page(path: str) -> None:
    assert not is_for_api(scope(path))
    assert not is_for_api(scope(path, accept="*/*"))


@pytest.mark.parametrize("path", [path for path in MISPLACED if not path.startswith("/v1/")])
def test_a_browser_gets_the_page(path: str) -> None:
    assert not is_for_api(scope(path, accept="text/html,application/xhtml+xml"))


def test_a_program_that_asks_for_models_is_known_by_its_key() -> None:
    assert is_for_api(scope("/models", authorization="Bearer x"))
    assert is_for_api(scope("/models/gpt-4", authorization="Bearer x"))
    assert not is_for_api(scope("/models"))


@pytest.mark.parametrize("start", OUT_OF_SCOPE)
async def test_what_is_not_offered_says_so(api: Api, alice: Customer, start: str) -> None:
    for method, path in (("POST", f"/v1/{start}/x"), ("GET", f"/v1/{start}/x/y")):
        response = await api.client.request(method, path, headers=alice.headers)

        assert response.status_code == 404
        message = assert_envelope(response, code="not_found")
        assert f"{OUT_OF_SCOPE[start]} is not offered here" in message


async def test_a_name_with_a_nul_is_no_name(api: Api, alice: Customer) -> None:
    for path in ("/v1/usage/%00", "/v1/models/%00", "/v1/%00", "/v1/usage/req_%00"):
        response = await api.client.get(path, headers=alice.headers)

        assert response.status_code == 404
        assert_envelope(response, code="not_found")
    ordered = await api.client.post("/v1/checkout", headers=alice.headers, json={"pack": "small\0"})
    assert ordered.status_code == 400
