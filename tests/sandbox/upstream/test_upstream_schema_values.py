from typing import Any

import pytest

from sandbox.upstream.schema_values import (
    UnsupportedSchemaError,
    fits,
    make_object,
    make_value,
)

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
    },
    "required": ["value", "next"],
    "additionalProperties": False,
}
POINT = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x", "y"],
}
COLOUR = {"enum": ["red", "green", "blue"]}


@pytest.mark.parametrize("seed", [0, 1, 2**127])
@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "required": ["b"], "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 3},
        {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
        {"definitions": {"a/b": POINT}, "$ref": "#/definitions/a~1b"},
        {"type": "array", "items": COLOUR, "minItems": 3, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "integer"}, COLOUR], "items": False},
        {"type": "array", "items": {"type": "array", "items": {"type": "null"}}, "maxItems": 1},
        {"anyOf": [{"type": "null"}, POINT]},
        {"oneOf": [{"const": "a"}, {"const": 1}]},
        {"allOf": [POINT, {"properties": {"z": {"const": 0}}, "required": ["z"]}]},
        {"type": ["null", "string"]},
        {"type": "string", "enum": ["north", None, "south"]},
        {"type": "string", "minLength": 80},
        {"type": "string", "maxLength": 2},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        {"type": "string", "format": "uuid"},
        {"type": "integer", "minimum": 5, "maximum": 5},
        {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": -1},
        {"type": "integer", "multipleOf": 7, "minimum": 100},
        {"type": "number", "minimum": 0.25, "maximum": 0.3},
        {"type": "number", "maximum": -10},
        {"type": "boolean"},
        {"properties": {"a": True}, "required": ["a"]},
    ],
)
def test_a_value_fits_its_schema(schema: dict[str, Any], seed: int) -> None:
    assert fits(make_value(schema, seed=seed), schema)


def test_a_value_uses_what_the_user_said() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "heat": {"type": "number"},
        },
        "required": ["city", "days", "heat"],
    }

    value = make_value(schema, seed=1, text="Weather in '北京' for 3 days, at most 21.5 degrees?")

    assert value == {"city": "北京", "days": 3, "heat": 21.5}


def test_it_does_not_use_a_number_that_does_not_fit() -> None:
    schema = {"type": "integer", "maximum": 5}

    assert make_value(schema, seed=1, text="9 and 4") == 4


def test_what_the_user_said_is_used_once() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3}

    first, second, third = make_value(schema, seed=1, text="2 and 3")

    assert (first, second) == (2, 3)
    assert isinstance(third, int)


def test_the_same_seed_makes_the_same_value() -> None:
    one, again, other = (make_value(POINT, seed=seed) for seed in (1, 1, 2))

    assert one == again != other


def test_a_json_object_has_the_keys_that_the_user_quoted() -> None:
    made = make_object(seed=1, text="JSON with the keys 'setup' and `punchline`, please")

    assert list(made) == ["setup", "punchline"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"anyOf": []},
        {"type": "string", "enum": [1, 2]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True},
        {"not": {}},
        {"type": "string", "pattern": "("},
    ],
)
def test_it_says_when_no_value_fits(schema: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedSchemaError):
        make_value(schema, seed=1)
