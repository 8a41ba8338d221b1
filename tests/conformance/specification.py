"""OpenAI's published specification, cut to our paths, as JSON schemas.

`openai-api.json` is cut from openai/openai-openapi (MIT) of 2026-08-21.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SPECIFICATION = Path(__file__).with_name("openai-api.json")


@cache
def load() -> dict[str, Any]:
    """The specification, with OpenAPI 3.0's `nullable` said in JSON schema's words."""
    loaded: dict[str, Any] = _say_null(json.loads(SPECIFICATION.read_text()))
    return loaded


def _say_null(node: Any) -> Any:
    if isinstance(node, list):
        return [_say_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    said = {key: _say_null(value) for key, value in node.items()}
    if said.pop("nullable", False) is True:
        return {"anyOf": [said, {"type": "null"}]}
    return said


@cache
def validator(name: str) -> Any:
    """A validator of one schema of the specification."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": load()["components"]}
    return jsonschema.Draft202012Validator(schema)


def problems(name: str, value: object) -> list[str]:
    """What is wrong with a value by one schema."""
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in validator(name).iter_errors(value)
    ]
