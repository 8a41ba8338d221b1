"""Check the input of a response: messages, calls and their results, reasoning sent back.

By `InputItem` of OpenAI's specification. Items that refer to stored things, or belong to tools
that are not offered, are refused: a hold can't cover what can't be counted.
"""

from __future__ import annotations

from typing import Any

from proxy.parsing.image_urls import check_detail, check_image_url
from proxy.parsing.schema import as_list, as_object, check_string, fail

_ROLES = frozenset({"user", "assistant", "system", "developer"})
_GIVEN = frozenset({"input_text", "input_image", "input_file"})
_WRITTEN = frozenset({"output_text", "refusal"})
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})


def check_input(value: object) -> None:
    """Check a text or a list of items."""
    if isinstance(value, str):
        return
    items = as_list(value, "input", expected="a string or an array of items")
    if not items:
        fail("'input' must not be empty.", "input", "empty_array")
    for index, item in enumerate(items):
        where = f"input[{index}]"
        _check_item(as_object(item, where), where)


def _check_item(item: dict[str, Any], where: str) -> None:
    kind = check_string(item, "type", within=f"{where}.") or _kind_of(item)
    if kind == "message":
        _check_message(item, where)
    elif kind in _CALLS:
        for name in ("call_id", "name", _CALLS[kind]):
            check_string(item, name, nullable=False, within=f"{where}.")
    elif kind in _RESULTS:
        check_string(item, "call_id", nullable=False, within=f"{where}.")
        _check_content(item, "output", _GIVEN, where)
    elif kind == "reasoning":
        _check_reasoning(item, where)
    else:
        _refuse(kind, where)


def _kind_of(item: dict[str, Any]) -> str:
    # An item reference and a message may both come without a type.
    return "item_reference" if "role" not in item and "id" in item else "message"


def _refuse(kind: str, where: str) -> None:
    if kind == "item_reference":
        fail(
            f"Invalid value for '{where}': items are not stored here. Send the item itself instead "
            "of a reference: set 'store' to false, and clients such as the Vercel AI SDK will "
            "(providerOptions: { openai: { store: false } }).",
            where,
            "items_not_stored",
        )
    fail(
        f"Invalid value for '{where}': items of the type '{kind[:50]}' are not supported.",
        where,
        "unsupported_value",
    )


def _check_message(message: dict[str, Any], where: str) -> None:
    role = check_string(message, "role", nullable=False, within=f"{where}.")
    if role not in _ROLES:
        known = ", ".join(f"'{name}'" for name in sorted(_ROLES))
        fail(
            f"Invalid value for '{where}.role': expected one of {known}.",
            f"{where}.role",
            "invalid_value",
        )
    # Some clients send an answer back with the types of input.
    allowed = _GIVEN | _WRITTEN if role == "assistant" else _GIVEN
    _check_content(message, "content", allowed, where)


def _check_content(item: dict[str, Any], name: str, allowed: frozenset[str], where: str) -> None:
    param = f"{where}.{name}"
    if name not in item:
        fail(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if isinstance(item[name], str):
        return
    parts = as_list(item[name], param, expected="a string or an array of content parts")
    for index, part in enumerate(parts):
        at = f"{param}[{index}]"
        _check_part(as_object(part, at), allowed, at)


def _check_part(part: dict[str, Any], allowed: frozenset[str], where: str) -> None:
    kind = check_string(part, "type", nullable=False, within=f"{where}.")
    if kind not in allowed:
        known = ", ".join(f"'{name}'" for name in sorted(allowed))
        fail(
            f"Invalid value for '{where}.type': expected one of {known}.",
            f"{where}.type",
            "invalid_value",
        )
    match kind:
        case "input_image":
            _check_image(part, where)
        case "input_file":
            check_string(part, "file_data", nullable=False, within=f"{where}.")
        case _:
            text = "refusal" if kind == "refusal" else "text"
            check_string(part, text, nullable=False, within=f"{where}.")


def _check_image(part: dict[str, Any], where: str) -> None:
    url = check_string(part, "image_url", nullable=False, within=f"{where}.")
    check_image_url(url, f"{where}.image_url")
    check_detail(check_string(part, "detail", within=f"{where}."), f"{where}.detail")


def _check_reasoning(item: dict[str, Any], where: str) -> None:
    check_string(item, "encrypted_content", within=f"{where}.")
    for name in ("summary", "content"):
        parts = [] if item.get(name) is None else as_list(item[name], f"{where}.{name}")
        for index, part in enumerate(parts):
            at = f"{where}.{name}[{index}]"
            check_string(as_object(part, at), "text", nullable=False, within=f"{at}.")
