"""What a model is asked, whichever endpoint it came through; conversations are in chat's form."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Mode = Literal["none", "auto", "required"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call: a function with a schema, or a custom one that takes text."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    is_custom: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools may or must be called, and which; None allows every one."""

    mode: Mode = "auto"
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How an answer in words is written. Without a schema, JSON is any object."""

    is_json: bool = False
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation, and the rules for going on with it."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    choices: int = 1
    stops: list[str] = field(default_factory=list)
    seed: int = 0
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    is_parallel: bool = True
    answer_format: AnswerFormat = field(default_factory=AnswerFormat)
    effort: str | None = None

    def digest(self) -> bytes:
        """What makes two requests the same conversation: their messages and their seed."""
        identity = orjson.dumps([self.messages, self.seed])
        return hashlib.blake2b(identity, digest_size=16).digest()

    def last_user_text(self) -> str:
        """The texts of the last message that the user sent."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                return " ".join(content_texts(message))
        return ""

    def since_last_user(self) -> list[dict[str, Any]]:
        """The messages after the user's last one."""
        recent: list[dict[str, Any]] = []
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            recent.append(message)
        return recent[::-1]


def content_texts(message: dict[str, Any]) -> list[str]:
    """The texts of a message's content, which is a string, a list of parts or nothing."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    texts = [part.get("text") or part.get("refusal") for part in content or ()]
    return [text for text in texts if text]
