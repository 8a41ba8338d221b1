"""Tools, the choice among them and the format of answers, as a chat's body gives them."""

from collections.abc import Callable
from typing import Any, cast

from sandbox.upstream.errors import ApiError
from sandbox.upstream.prompt import AnswerFormat, Mode, Tool, ToolChoice
from sandbox.upstream.schema_values import UnsupportedSchemaError, check_schema
from sandbox.upstream.validation import Payload, check_type, missing, wrong_type, wrong_value

MODES = ("none", "auto", "required")
# Where one of an array's tools has its name and schema: below its type in a chat, else beside it.
Unwrap = Callable[[dict[str, Any], str], dict[str, Any]]


def nested(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    """A chat's form: `{"type": "function", "function": {"name": …}}`."""
    body = entry.get(kind)
    return body if isinstance(body, dict) else {}


def flat(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    """The form of responses: `{"type": "function", "name": …}`."""
    return entry


def parse_tools(payload: Payload, unwrap: Unwrap) -> list[Tool]:
    """The functions and custom tools of a body. Tools that run at the provider are never called."""
    entries: list[Any] = check_type(payload, "tools", list) or []
    return [
        tool
        for index, entry in enumerate(entries)
        if (tool := _parse_tool(entry, f"tools[{index}]", unwrap)) is not None
    ]


def _parse_tool(entry: object, param: str, unwrap: Unwrap) -> Tool | None:
    if not isinstance(entry, dict):
        raise wrong_type(param, "an object", entry)
    kind = entry.get("type")
    if not isinstance(kind, str):
        raise missing(f"{param}.type")
    if kind not in ("function", "custom"):
        if unwrap is nested:
            raise wrong_value(f"{param}.type", "'function' or 'custom'", kind)
        return None
    prefix = f"{param}.{kind}" if unwrap is nested else param
    return parse_function(unwrap(entry, kind), prefix, is_custom=kind == "custom")


def parse_function(body: Payload, param: str, *, is_custom: bool = False) -> Tool:
    """A tool's own fields. Raises ApiError 400."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise missing(f"{param}.name")
    description = body.get("description") or ""
    if not isinstance(description, str):
        raise wrong_type(f"{param}.description", "a string", description)
    parameters = body.get("parameters")
    if parameters is not None:
        _check_schema(parameters, f"{param}.parameters", "invalid_function_parameters")
    return Tool(name, description, parameters, is_custom)


def parse_tool_choice(payload: Payload, tools: list[Tool], unwrap: Unwrap) -> ToolChoice:
    """Whether and what may be called. Raises ApiError 400."""
    value = payload.get("tool_choice")
    if value is None:
        return ToolChoice()
    if isinstance(value, str):
        return ToolChoice(_mode(value, "tool_choice"))
    if not isinstance(value, dict):
        raise wrong_type("tool_choice", "a string or an object", value)
    kind = value.get("type")
    if kind in ("function", "custom"):
        return ToolChoice("required", (_known(unwrap(value, kind), tools),))
    if kind == "allowed_tools":
        return _allowed(unwrap(value, kind), tools, unwrap)
    raise wrong_value("tool_choice.type", "a tool that this model may be made to call", kind)


def _allowed(body: Payload, tools: list[Tool], unwrap: Unwrap) -> ToolChoice:
    entries = body.get("tools")
    if not isinstance(entries, list):
        raise missing("tool_choice.tools")
    names = [
        _known(unwrap(entry, str(entry.get("type"))), tools)
        for entry in entries
        if isinstance(entry, dict)
    ]
    return ToolChoice(_mode(body.get("mode"), "tool_choice.mode"), tuple(names))


def _mode(value: object, param: str) -> Mode:
    if value not in MODES:
        raise wrong_value(param, "one of " + ", ".join(MODES), value)
    return cast(Mode, value)


def _known(body: Payload, tools: list[Tool]) -> str:
    name = body.get("name")
    if not isinstance(name, str):
        raise missing("tool_choice.function.name")
    if name not in [tool.name for tool in tools]:
        raise ApiError(
            400,
            f"Tool choice '{name}' not found in 'tools' parameter.",
            param="tool_choice",
        )
    return name


def parse_format(value: object, param: str, unwrap: Unwrap) -> AnswerFormat:
    """The format that answers must have. Raises ApiError 400."""
    if value is None:
        return AnswerFormat()
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)
    kind = value.get("type")
    if kind == "json_schema":
        body = unwrap(value, kind)
        if not isinstance(body.get("name"), str):
            raise missing(f"{param}.json_schema.name")
        schema = body.get("schema")
        if schema is None:
            return AnswerFormat(is_json=True)
        _check_schema(schema, f"{param}.schema", "invalid_json_schema")
        return AnswerFormat(is_json=True, schema=schema)
    if kind not in ("text", "json_object"):
        raise wrong_value(f"{param}.type", "'text', 'json_object' or 'json_schema'", kind)
    return AnswerFormat(is_json=kind == "json_object")


def _check_schema(schema: object, param: str, code: str) -> None:
    if not isinstance(schema, dict):
        raise wrong_type(param, "an object", schema)
    try:
        check_schema(schema)
    except UnsupportedSchemaError as error:
        problem = f"Invalid schema for '{param}': {error}"
        raise ApiError(400, problem, param=param, code=code) from None
