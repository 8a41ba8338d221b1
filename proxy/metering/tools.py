"""Count the functions that a model may call, by the published rule for their schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from proxy.metering.encodings import CL100K, encoding_name
from proxy.metering.prompt import Prompt, add_unread, to_json

# The text around a call's name and arguments. Not published; from usage that gpt-3.5-turbo reports.
PER_TOOL_CALL = 6
READ_OF_CALL = frozenset({"name", "arguments", "input"})
# The published constants of function schemas.
PER_FUNCTION = {CL100K: 10}
PER_FUNCTION_OTHERWISE = 7
PER_SCHEMA = 3
PER_PROPERTY = 3
PER_ENUM = -3
PER_ENUM_ITEM = 3
PER_TOOL_LIST = 12
# The tokens that an upstream may add to each tool beyond the published rules.
MARGIN_PER_TOOL = 32


def add_call(
    prompt: Prompt, call: Mapping[str, Any], read: AbstractSet[str] = READ_OF_CALL
) -> None:
    """Add a call that the model made earlier. `read` has its fields and those read elsewhere."""
    prompt.overhead += PER_TOOL_CALL
    prompt.calls += 1
    for key in ("name", "arguments", "input"):
        if isinstance(text := call.get(key), str):
            prompt.texts.append(text)
    add_unread(prompt, call, read)


def add_tools(prompt: Prompt, tools: Sequence[Any], functions: Iterable[Mapping[str, Any]]) -> None:
    """Add tools as they were sent, and the functions that they describe."""
    functions = list(functions)
    prompt.tools = tools
    prompt.tools_json = to_json(tools)
    prompt.tool_overhead += PER_TOOL_LIST
    prompt.margin += MARGIN_PER_TOOL * (1 + len(functions))
    per_function = PER_FUNCTION.get(encoding_name(prompt.model), PER_FUNCTION_OTHERWISE)
    for function in functions:
        prompt.tool_overhead += per_function
        prompt.tool_texts.append(f"{function['name']}:{_description(function)}")
        _add_schema(prompt, function.get("parameters"))
        # A custom tool's grammar.
        if grammar := function.get("format"):
            prompt.tool_texts.append(to_json(grammar))


def _add_schema(prompt: Prompt, schema: object) -> None:
    """Add an object schema. The rule is published for one level and applied here to each."""
    if type(schema) is not dict:
        return
    properties = schema.get("properties")
    if type(properties) is dict and properties:
        prompt.tool_overhead += PER_SCHEMA
        for name, value in properties.items():
            _add_property(prompt, name, value)
    _add_schema(prompt, schema.get("items"))
    for key in ("$defs", "definitions"):
        if type(shared := schema.get(key)) is dict:
            for value in shared.values():
                _add_schema(prompt, value)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list):
            for option in options:
                _add_schema(prompt, option)


def _add_property(prompt: Prompt, name: str, value: object) -> None:
    prompt.tool_overhead += PER_PROPERTY
    schema: dict[str, Any] = value if type(value) is dict else {}
    kind = schema.get("type", "")
    prompt.tool_texts.append(
        f"{name}:{kind if isinstance(kind, str) else to_json(kind)}:{_description(schema)}"
    )
    if isinstance(choices := schema.get("enum"), list) and choices:
        prompt.tool_overhead += PER_ENUM + PER_ENUM_ITEM * len(choices)
        prompt.tool_texts.extend(
            choice if isinstance(choice, str) else to_json(choice) for choice in choices
        )
    _add_schema(prompt, schema)


def _description(schema: Mapping[str, Any]) -> str:
    description = schema.get("description")
    return description.removesuffix(".") if isinstance(description, str) else ""
