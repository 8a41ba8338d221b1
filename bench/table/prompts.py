"""What is sent: whole requests of HTTP, with ######## where the load generator numbers them.

Every message carries the number, so no text is seen twice: nothing that a gateway remembers of an
earlier request helps it. The tools are the same each time, as an agent's are.
"""

import json
import random
from collections.abc import Mapping
from typing import Any

NUMBER = "########"
PLAIN_MODEL = "bench-0-0"
TOOLS = 12
AGENT_MESSAGES = 42
VOCABULARY = """def return self value index for in range if not None else import from class request
answer the a of to file line error test should then read write call result list key name path open
close print data = == ( ) [ ] { } : , . + - async await while try except raise with as True False"""
WORDS = VOCABULARY.split()


def chat(model: str, size: int) -> dict[str, Any]:
    """A chat of two messages whose JSON has about so many bytes."""
    messages = [
        {"role": "system", "content": f"You are a helpful assistant. {NUMBER}"},
        {"role": "user", "content": NUMBER},
    ]
    return _filled({"model": model, "messages": messages, "max_tokens": 64}, size)


def agent(model: str, size: int) -> dict[str, Any]:
    """What a coding agent sends late in its work: tools, calls of them and what they returned."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"You are a coding agent. {NUMBER}"},
        {"role": "user", "content": f"Mend the failing test. {NUMBER}"},
    ]
    for turn in range((AGENT_MESSAGES - len(messages)) // 2):
        arguments = json.dumps({"path": f"src/part_{turn}.py", "note": NUMBER})
        function = {"name": f"tool_{turn % TOOLS}", "arguments": arguments}
        call = {"id": f"call_{turn:08}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": NUMBER, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": NUMBER})
    tools = [_tool(number) for number in range(TOOLS)]
    return _filled({"model": model, "messages": messages, "tools": tools, "max_tokens": 64}, size)


def stream(chunks: int, every_ms: int) -> dict[str, Any]:
    """A short chat whose answer comes in so many chunks, one each `every_ms`."""
    return {**chat(f"bench-{chunks}-{every_ms}", 300), "max_tokens": 1_000, "stream": True}


def as_json(body: dict[str, Any]) -> bytes:
    """The body as the official Python and Node clients write it: no spaces, UTF-8."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def as_http(body: dict[str, Any], headers: Mapping[str, str]) -> bytes:
    """The request as bytes."""
    text = as_json(body)
    sent = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Accept": "application/json",
        **headers,
        "Content-Length": str(len(text)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + text


def _tool(number: int) -> dict[str, Any]:
    properties = {
        "path": {"type": "string", "description": "Which file, from the project's folder."},
        "note": {"type": "string", "description": "Why, in a sentence."},
        "lines": {"type": "array", "items": {"type": "integer"}, "description": "From and to."},
    }
    parameters = {"type": "object", "properties": properties, "required": ["path"]}
    function = {"name": f"tool_{number}", "description": _text(number, 200)}
    return {"type": "function", "function": {**function, "parameters": parameters}}


def _filled(body: dict[str, Any], size: int) -> dict[str, Any]:
    """Lengthen all messages alike until the JSON has about `size` bytes."""
    missing = size - len(as_json(body))
    for index, message in enumerate(body["messages"]):
        message["content"] += " " + _text(index, max(0, missing // len(body["messages"]) - 1))
    return body


def _text(seed: int, size: int) -> str:
    dice = random.Random(seed)
    words: list[str] = []
    while sum(map(len, words)) + len(words) < size and len(words) < 100:
        words.append(dice.choice(WORDS))
    block = " ".join(words) + "\n"
    # Escapes in JSON count too, so the size is about right, which is enough.
    return (block * (size // len(block) + 1))[:size]
