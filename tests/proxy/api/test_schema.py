"""The schema of our own endpoints."""

from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.validation import validate_schema

Schema = dict[str, Any]


@pytest.fixture
def schema(client: Client) -> Schema:
    answer = client.get("/api/schema/")
    assert answer.status_code == 200
    document: Schema = answer.json()
    return document


def test_it_is_openapi(schema: Schema) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]  # its own

    assert schema["openapi"].startswith("3.1")


def test_it_describes_every_endpoint(schema: Schema) -> None:
    routes = {
        "/" + str(each.pattern).replace("<path:", "{").replace("<str:", "{").replace(">", "}")
        for each in get_resolver("proxy.urls").url_patterns
    }

    assert set(schema["paths"]) == routes


def test_every_operation_needs_a_key_and_says_how_it_fails(schema: Schema) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation["security"] == [{"apiKey": []}], (path, method)
            assert {"200", "401", "429", "503"} <= set(operation["responses"]), (path, method)
            assert operation["operationId"][0].islower()
