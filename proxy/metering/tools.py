"""Add the tools that a model may call to its prompt, and the calls that it made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from proxy.metering.prompt import Prompt, add_unread, to_json

# The text around a call's name and arguments. Not published; from usage that gpt-3.5-turbo reports.
PER_TOOL_CALL = 6
READ_OF_CALL = frozenset({"name", "arguments", "input"})
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


def add_tools(
    prompt: Prompt,
    tools: Sequence[Any],
    functions: Sequence[Mapping[str, Any]],
    *,
    written: bytes | None = None,
) -> None:
    """Add tools as they were sent, and the functions that they describe.

    `written` is the JSON of `tools`, if it is known.
    """
    prompt.tools = tools
    prompt.tools_json = to_json(tools) if written is None else written.decode()
    prompt.functions = functions
    prompt.margin += MARGIN_PER_TOOL * (1 + len(functions))
