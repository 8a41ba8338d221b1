"""Texts that a body gives as strings or as tokens, one or many."""

from typing import Any

import tiktoken

from sandbox.upstream.errors import ApiError
from sandbox.upstream.validation import wrong_type, wrong_value


def parse_texts(value: object, param: str, vocabulary: tiktoken.Encoding) -> list[str]:
    """Read a string, a list of strings, a list of tokens or a list of such. Raises ApiError 400."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise wrong_type(param, "a string or an array", value)
    if not value:
        raise ApiError(400, f"'{param}' must not be empty.", param=param, code="empty_array")
    if all(isinstance(item, str) for item in value):
        return list(value)
    if all(type(item) is int for item in value):
        return [_decode(value, param, vocabulary)]
    if all(isinstance(item, list) and item for item in value):
        return [_decode(item, f"{param}[{i}]", vocabulary) for i, item in enumerate(value)]
    raise wrong_value(param, "strings, tokens or arrays of tokens", value[0])


def _decode(tokens: list[Any], param: str, vocabulary: tiktoken.Encoding) -> str:
    for token in tokens:
        if type(token) is not int:
            raise wrong_type(param, "an integer", token)
        if not 0 <= token < vocabulary.n_vocab:
            raise wrong_value(param, f"a token below {vocabulary.n_vocab}", token)
    return vocabulary.decode(tokens)
