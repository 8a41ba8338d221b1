"""Take the texts and token arrays of completions and embeddings apart.

Nothing is wrapped around them, so with a model's own tokenizer a hold takes the exact count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.metering.prompt import NEVER_SHOWN, Prompt, add_unread
from proxy.parsing.inputs import count_inputs


def take_apart_completion(body: Mapping[str, Any], model: str) -> Prompt:
    """Take apart the body of a checked completion request."""
    prompt = _take_apart(body["prompt"], model)
    if suffix := body.get("suffix"):
        # A model that inserts text reads both sides, and three tokens that mark them.
        prompt.texts.append(suffix)
        prompt.margin += 3
    add_unread(prompt, body, NEVER_SHOWN | {"prompt", "suffix"})
    return prompt


def take_apart_embedding(body: Mapping[str, Any], model: str) -> Prompt:
    """Take apart the body of a checked embedding request."""
    prompt = _take_apart(body["input"], model)
    add_unread(prompt, body, NEVER_SHOWN | {"input"})
    return prompt


def _take_apart(value: Any, model: str) -> Prompt:
    prompt = Prompt(model, inputs=count_inputs(value))
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            prompt.texts.append(item)
        else:
            # An integer is one token of a single input; an array is an input of that many tokens.
            prompt.overhead += 1 if isinstance(item, int) else len(item)
    return prompt
