"""The published rule for functions: the texts that are counted of each, and what is added to them.

It is of flat schemas, and applied here to each level of nested ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from proxy.metering.encodings import CL100K, encoding_name

# The published constants.
PER_FUNCTION = {CL100K: 10}
PER_FUNCTION_OTHERWISE = 7
PER_SCHEMA = 3
PER_PROPERTY = 3
PER_ENUM = -3
PER_ENUM_ITEM = 3
PER_TOOL_LIST = 12


class Described:
    """What the rule counts of some functions."""

    def __init__(self, functions: Iterable[Mapping[str, Any]], model: str) -> None:
        self.texts: list[str] = []
        # In tokens.
        self.overhead = PER_TOOL_LIST
        per_function = PER_FUNCTION.get(encoding_name(model), PER_FUNCTION_OTHERWISE)
        for function in functions:
            self.overhead += per_function
            self.texts.append(f"{function['name']}:{_description(function)}")
            self._add_schema(function.get("parameters"))
            # A custom tool's grammar.
            if grammar := function.get("format"):
                self.texts.append(_to_json(grammar))

    def _add_schema(self, schema: object) -> None:
        if type(schema) is not dict:
            return
        properties = schema.get("properties")
        if type(properties) is dict and properties:
            self.overhead += PER_SCHEMA
            for name, value in properties.items():
                self._add_property(name, value)
        self._add_schema(schema.get("items"))
        for key in ("$defs", "definitions"):
            if type(shared := schema.get(key)) is dict:
                for value in shared.values():
                    self._add_schema(value)
        for key in ("anyOf", "oneOf", "allOf"):
            if isinstance(options := schema.get(key), list):
                for option in options:
                    self._add_schema(option)

    def _add_property(self, name: str, value: object) -> None:
        self.overhead += PER_PROPERTY
        schema: dict[str, Any] = value if type(value) is dict else {}
        kind = schema.get("type", "")
        self.texts.append(
            f"{name}:{kind if isinstance(kind, str) else _to_json(kind)}:{_description(schema)}"
        )
        if isinstance(choices := schema.get("enum"), list) and choices:
            self.overhead += PER_ENUM + PER_ENUM_ITEM * len(choices)
            self.texts.extend(
                choice if isinstance(choice, str) else _to_json(choice) for choice in choices
            )
        self._add_schema(schema)


def most_beside(tools_json: str) -> int:
    """Return by how many tokens the rule may count more than a token for each byte of the JSON.

    The JSON has each text, with as much around it as the rule adds: `"path":1,` for `path::` and 3
    tokens. Only for a choice that is no string it has less, by two: `,1` for `1` and 3 tokens.
    """
    return PER_TOOL_LIST + 2 * tools_json.count(",")


def _description(schema: Mapping[str, Any]) -> str:
    description = schema.get("description")
    return description.removesuffix(".") if isinstance(description, str) else ""


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()
