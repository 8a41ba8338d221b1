"""The API reference, which is made of our schema."""

import re
from typing import Any

import pytest
from django.test import Client

from tokenproxy_site.docs.pages import BY_SLUG
from tokenproxy_site.docs.reference import EXPLAINED, read_reference

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/schema/").json()
    return document


@pytest.fixture
def text(client: Client) -> str:
    answer = client.get("/api/docs/")
    assert answer.status_code == 200
    return answer.content.decode()


def section(text: str, name: str) -> str:
    return text.split(f'id="{name}"')[1].split("</section>", maxsplit=1)[0]


def test_it_has_every_operation_of_the_schema_with_all_its_answers(
    schema: dict[str, Any], text: str
) -> None:
    operations = [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]

    assert {operation["operationId"] for _, _, operation in operations} == set(EXPLAINED)
    for path, method, operation in operations:
        shown = section(text, operation["operationId"])
        assert f'<span class="method">{method.upper()}</span> {path}</p>' in shown
        assert operation["summary"] in shown
        statuses = re.findall(r"<dt><code>(\d{3})</code></dt>", shown)
        assert statuses == sorted(operation["responses"].keys() - {"200"})
        for name in operation["responses"]["200"]["headers"]:
            assert f"<code>{name}</code>" in shown


def test_it_has_every_field_at_every_depth(schema: dict[str, Any], text: str) -> None:
    names = schema["components"]["schemas"]

    key = section(text, "retrieveKey")
    for name in (*names["Key"]["properties"], *names["MonthlyCap"]["properties"]):
        assert f"<code>{name}</code>" in key
    chat = section(text, "createChatCompletion")
    assert chat.count("<strong>Required.</strong>") == 2
    models = section(text, "listModels")
    for name in names["Pricing"]["properties"]:
        assert f'<td class="field-level-2"><code>{name}</code></td>' in models


def test_it_says_what_a_value_may_be() -> None:
    operations = {each.name: each for _, group in read_reference() for each in group}
    kinds = {field.name: field.kind for field in operations["createChatCompletion"].body}
    estimate = {field.name: field.kind for field in operations["createEstimate"].answer.fields}
    key = {field.name: field.kind for field in operations["retrieveKey"].answer.fields}

    assert kinds["temperature"] == "number, 0 to 2"
    assert kinds["messages"] == "array of object"
    assert estimate["refusal"] == "object, or null"
    assert estimate["affordable_max_tokens"] == "integer, or null"
    assert key["allowed_models"] == "array of string, or null"
    assert key["expires_at"] == "time, ISO 8601, or null"


def test_each_operation_leads_to_a_page_that_explains_it() -> None:
    assert {slug for _, slug in EXPLAINED.values()} <= BY_SLUG.keys()


def test_it_loads_no_script_but_our_own(text: str) -> None:
    assert "swagger" not in text.lower()
    assert all("/static/js/" in source for source in re.findall(r'<script src="([^"]+)"', text))
