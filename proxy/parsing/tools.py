"""Check the tools that a model may call. All offered ones run at the client.

Tools that run at the provider have prices of their own. Agents declare a web search whether they
need it or not, so it is left out of a response unless the client insists on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.parsing.schema import as_list, as_object, check_string, fail

CALLED = frozenset({"function", "custom"})
NAMESPACE = "namespace"
SEARCHES = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
_OWN_PRICE = "tools that run at the provider have prices of their own, which are not offered here"


def check_chat_tools(payload: Mapping[str, Any]) -> None:
    """Check the tools of a chat, and the functions that they superseded."""
    for index, value in enumerate(_optional_list(payload, "tools")):
        where = f"tools[{index}]"
        tool = as_object(value, where)
        kind = check_string(tool, "type", nullable=False, within=f"{where}.")
        if kind not in CALLED:
            fail(
                f"'{where}.type' must be 'function' or 'custom': {_OWN_PRICE}.",
                f"{where}.type",
                "invalid_value",
            )
        check_function(tool.get(kind), f"{where}.{kind}")
    for index, value in enumerate(_optional_list(payload, "functions")):
        check_function(value, f"functions[{index}]")


def check_response_tools(payload: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Check the tools of a response. Return the body without searches, and what was left out."""
    kept: list[Any] = []
    searches: list[str] = []
    for index, value in enumerate(_optional_list(payload, "tools")):
        where = f"tools[{index}]"
        tool = as_object(value, where)
        kind = check_string(tool, "type", nullable=False, within=f"{where}.")
        if kind in SEARCHES:
            searches.append(kind)
            continue
        _check_response_tool(kind, tool, where)
        kept.append(tool)
    _check_choice(payload.get("tool_choice"), has_tools=bool(kept) or not searches)
    if not searches:
        return payload, []
    rest = {name: value for name, value in payload.items() if name != "tools"}
    if kept:
        rest["tools"] = kept
    else:
        # A choice among no tools is refused by some providers.
        rest.pop("tool_choice", None)
    return rest, [f"tools.{kind}" for kind in searches]


def check_function(value: object, where: str) -> None:
    """Check the definition of a function or a custom tool."""
    function = as_object(value, where)
    check_string(function, "name", nullable=False, within=f"{where}.")
    check_string(function, "description", within=f"{where}.")
    if function.get("parameters") is not None:
        as_object(function["parameters"], f"{where}.parameters")


def _check_response_tool(kind: str, tool: dict[str, Any], where: str) -> None:
    if kind != NAMESPACE and kind not in CALLED:
        fail(
            f"'{where}.type' must be 'function', 'custom' or 'namespace': {_OWN_PRICE}.",
            f"{where}.type",
            "unsupported_value",
        )
    check_function(tool, where)
    if kind != NAMESPACE:
        return
    for index, value in enumerate(as_list(tool.get("tools"), f"{where}.tools")):
        at = f"{where}.tools[{index}]"
        inner = as_object(value, at)
        if check_string(inner, "type", nullable=False, within=f"{at}.") not in CALLED:
            fail(f"'{at}.type' must be 'function' or 'custom'.", f"{at}.type", "unsupported_value")
        check_function(inner, at)


def _check_choice(choice: object, *, has_tools: bool) -> None:
    """Refuse a choice of a tool that is not offered."""
    if choice == "required" and not has_tools:
        fail(f"Invalid value for 'tool_choice': {_OWN_PRICE}.", "tool_choice", "unsupported_value")
    if not isinstance(choice, dict):
        return
    kind = check_string(choice, "type", nullable=False, within="tool_choice.")
    if kind not in CALLED and kind != "allowed_tools":
        at = "tool_choice.type"
        fail(f"Invalid value for '{at}': {_OWN_PRICE}.", at, "unsupported_value")
    for index, value in enumerate(_optional_list(choice, "tools", within="tool_choice.")):
        at = f"tool_choice.tools[{index}]"
        kind = check_string(as_object(value, at), "type", nullable=False, within=f"{at}.")
        if kind not in CALLED and kind != NAMESPACE:
            fail(f"Invalid value for '{at}.type': {_OWN_PRICE}.", f"{at}.type", "unsupported_value")


def _optional_list(payload: Mapping[str, Any], name: str, *, within: str = "") -> list[Any]:
    return [] if payload.get(name) is None else as_list(payload[name], within + name)
