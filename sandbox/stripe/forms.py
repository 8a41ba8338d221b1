"""Stripe's bracketed forms: text to nested parameters, and a path back to its bracket notation."""

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import InvalidParameter

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_SEGMENT = re.compile(r"\[([^\[\]]*)\]")

# Nobody nests deeper than line_items[0][price_data][product_data][tax_details][x].
_MAX_DEPTH = 10
_MAX_FIELDS = 2_000

Params = dict[str, Any]


def bracketed(path: tuple[str | int, ...]) -> str:
    """Return `line_items[0][price]` for ("line_items", 0, "price")."""
    head, *rest = (str(segment) for segment in path)
    return head + "".join(f"[{segment}]" for segment in rest)


def parse(text: str) -> Params:
    """Return a form as nested dictionaries whose leaves are strings.

    Arrays stay dictionaries of their indexes (`{"0": …}`): only the declared type of a parameter
    tells an array from metadata whose keys are digits. `a[]=x` appends.
    """
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_MAX_FIELDS
        )
    except ValueError as error:
        raise InvalidParameter(f"Invalid form body: {error}.") from error
    params: Params = {}
    for name, value in pairs:
        _assign(params, _segments(name), value, name)
    return params


def _segments(name: str) -> list[str]:
    match = _NAME.match(name)
    segments = [match[1], *_SEGMENT.findall(match[2])] if match else []
    if not segments or len(segments) > _MAX_DEPTH:
        raise InvalidParameter(f"Invalid parameter name: {name[:100]}", param=name[:100])
    return segments


def _assign(params: Params, segments: list[str], value: str, name: str) -> None:
    node = params
    for segment in segments[:-1]:
        child = node.setdefault(_key(node, segment), {})
        if not isinstance(child, dict):
            raise InvalidParameter(f"Parameter given as text and as object: {name}", param=name)
        node = child
    key = _key(node, segments[-1])
    if key in node:
        raise InvalidParameter(f"Parameter given twice: {name}", param=name)
    node[key] = value


def _key(node: Params, segment: str) -> str:
    return segment or str(len(node))
