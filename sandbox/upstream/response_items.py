"""The items of `/v1/responses` as the messages of a chat."""

from typing import Any

from sandbox.upstream.conversations import Conversations, Item
from sandbox.upstream.errors import ApiError
from sandbox.upstream.validation import missing, wrong_type, wrong_value

ROLES = ("user", "assistant", "system", "developer")
# What ran at a provider, or was only thought: it is taken, and adds nothing to a conversation.
SILENT = (
    "reasoning",
    "compaction",
    "file_search_call",
    "computer_call",
    "computer_call_output",
    "web_search_call",
    "image_generation_call",
    "code_interpreter_call",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "tool_search_call",
    "tool_search_output",
)
# The argument of each kind of call, and the type that a chat calls it by.
CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
TEXTS = ("input_text", "output_text", "text", "summary_text")

Message = dict[str, Any]


def parse_items(value: object, param: str) -> list[Item]:
    """An input as a list of items. Raises ApiError 400."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise wrong_type(param, "a string or an array of items", value)
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong_type(f"{param}[{index}]", "an object", item)
    return value


def resolve_references(items: list[Item], conversations: Conversations) -> list[Item]:
    """The items with those that were only named put in. Raises ApiError 404."""
    return [_resolve(item, conversations) if _is_reference(item) else item for item in items]


def _is_reference(item: Item) -> bool:
    return item.get("type") == "item_reference" or item.keys() == {"id"}


def _resolve(item: Item, conversations: Conversations) -> Item:
    found = conversations.find_item(str(item.get("id")))
    if found is None:
        raise ApiError(404, f"Item with id '{item.get('id')}' not found.", param="input")
    return found


def as_messages(items: list[Item]) -> list[Message]:
    """The items as a chat's messages. Raises ApiError 400."""
    messages: list[Message] = []
    calls: set[str] = set()
    for index, item in enumerate(items):
        param = f"input[{index}]"
        kind = item.get("type", "message")
        if not isinstance(kind, str):
            raise wrong_type(f"{param}.type", "a string", kind)
        if kind == "message":
            messages.append(_message(item, param))
        elif kind in CALLS:
            messages.append(_call(item, kind, param))
            calls.add(item["call_id"])
        elif kind in ("function_call_output", "custom_tool_call_output"):
            messages.append(_result(item, calls, param))
        elif kind not in SILENT:
            raise wrong_value(f"{param}.type", "the type of an item", kind)
    return messages


def _message(item: Item, param: str) -> Message:
    role = item.get("role")
    if role not in ROLES:
        raise wrong_value(f"{param}.role", "one of " + ", ".join(ROLES), role)
    return {"role": role, "content": _content(item.get("content"), f"{param}.content")}


def _content(content: object, param: str) -> str | list[Item]:
    if isinstance(content, str):
        return content
    if content is None:
        raise missing(param)
    if not isinstance(content, list):
        raise wrong_type(param, "a string or an array of parts", content)
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: object, param: str) -> Item:
    if not isinstance(part, dict):
        raise wrong_type(param, "an object", part)
    kind = part.get("type")
    if kind in TEXTS:
        return {"type": "text", "text": _string(part, "text", param)}
    if kind == "refusal":
        return {"type": "refusal", "refusal": _string(part, "refusal", param)}
    if kind == "input_image":
        url = part.get("image_url")
        if not isinstance(url, str):
            raise missing(f"{param}.image_url")
        return {"type": "image_url", "image_url": {"url": url, "detail": part.get("detail")}}
    if kind == "input_audio":
        audio = part.get("input_audio")
        if not isinstance(audio, dict):
            raise missing(f"{param}.input_audio")
        return {"type": "input_audio", "input_audio": {"data": _string(audio, "data", param)}}
    if kind == "input_file":
        data = part.get("file_data") or ""
        if not isinstance(data, str):
            raise wrong_type(f"{param}.file_data", "a string", data)
        return {"type": "file", "file": {"file_data": data}}
    raise wrong_value(f"{param}.type", "the type of a part", kind)


def _call(item: Item, kind: str, param: str) -> Message:
    chat_kind, argument = CALLS[kind]
    body = {"name": _string(item, "name", param), argument: _string(item, argument, param)}
    call = {"id": _string(item, "call_id", param), "type": chat_kind, chat_kind: body}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _result(item: Item, calls: set[str], param: str) -> Message:
    call_id = _string(item, "call_id", param)
    if call_id not in calls:
        raise ApiError(
            400,
            f"No tool call found for function call output with call_id {call_id}.",
            param="input",
        )
    content = _content(item.get("output"), f"{param}.output")
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _string(item: Item, key: str, param: str) -> str:
    value = item.get(key)
    if value is None:
        raise missing(f"{param}.{key}")
    if not isinstance(value, str):
        raise wrong_type(f"{param}.{key}", "a string", value)
    return value
