"""Adapt a request to an upstream that lacks a parameter or has another name for it.

A parameter that decides the price can't be dropped: the answer could cost more than its hold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from proxy.errors import InvalidRule

# The names that upstreams have for the longest answer.
MAXIMA = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
# The request itself, and the parameters that decide its price.
FIXED = frozenset({"model", "messages", "input", "prompt", "stream", "n", "best_of"})
STREAM_OPTIONS = "stream_options"
MAX_RULES = 50

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Which top-level parameters of a request to drop, and which to rename."""

    dropped: frozenset[str] = frozenset()
    renamed: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, rules: object, *, reports_usage: bool = True) -> Self:
        """Read rules as staff write them. A later rule wins. Raises InvalidRule.

        `[{"drop": "stop"}, {"rename": "max_tokens", "to": "max_completion_tokens"}]`
        """
        if not isinstance(rules, list) or len(rules) > MAX_RULES:
            raise InvalidRule(f"Write a JSON list of at most {MAX_RULES} rules.")
        dropped = set() if reports_usage else {STREAM_OPTIONS}
        renamed: dict[str, str] = {}
        for rule in rules:
            name, new_name = _read_rule(rule)
            dropped.discard(name)
            renamed.pop(name, None)
            if new_name is None:
                dropped.add(name)
            else:
                renamed[name] = new_name
        return cls(frozenset(dropped), renamed or None)

    def apply(self, body: bytes) -> bytes:
        """Return the body as the upstream takes it. Most upstreams take it unchanged."""
        if not self.dropped and not self.renamed:
            return body
        payload: dict[str, Any] = orjson.loads(body)
        renamed = self.renamed or {}
        adapted = {
            name: value
            for name, value in payload.items()
            if name not in self.dropped and name not in renamed
        }
        for name, new_name in renamed.items():
            if name not in payload:
                continue
            if new_name in MAXIMA and new_name in adapted:
                adapted[new_name] = _lower(adapted[new_name], payload[name])
            else:
                # A value that the client sent under the new name is not overwritten.
                adapted.setdefault(new_name, payload[name])
        return orjson.dumps(adapted)


def _lower(*maxima: object) -> object:
    """Return the lowest maximum, which is at most the one that the hold covers."""
    numbers = [value for value in maxima if isinstance(value, int) and not isinstance(value, bool)]
    return min(numbers, default=None)


def _read_rule(rule: object) -> tuple[str, str | None]:
    if not isinstance(rule, dict):
        raise InvalidRule('A rule is {"drop": NAME} or {"rename": NAME, "to": NAME}.')
    if rule.keys() == {"drop"}:
        return _check_dropped(rule["drop"]), None
    if rule.keys() == {"rename", "to"}:
        return _check_renamed(rule["rename"], rule["to"])
    raise InvalidRule('A rule is {"drop": NAME} or {"rename": NAME, "to": NAME}.')


def _check_dropped(value: object) -> str:
    name = _check_name(value)
    if name in FIXED | MAXIMA:
        raise InvalidRule(f"'{name}' can't be dropped: it decides what a request costs.")
    return name


def _check_renamed(value: object, new_value: object) -> tuple[str, str]:
    name, new_name = _check_name(value), _check_name(new_value)
    if name in FIXED or new_name in FIXED:
        raise InvalidRule(f"'{name}' can't become '{new_name}': it is what a request is made of.")
    if name == new_name:
        raise InvalidRule(f"'{name}' is renamed to itself.")
    if (name in MAXIMA) != (new_name in MAXIMA):
        raise InvalidRule(f"'{name}' can't become '{new_name}': only one is a maximum.")
    return name, new_name


def _check_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise InvalidRule("A parameter's name has small letters, digits and underscores.")
    return value
