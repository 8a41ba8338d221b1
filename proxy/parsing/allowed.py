"""Let pass what is allowed of a request, object by object, and name the rest.

A field of the specification passes. A field that is refused by the table (`treatment.py`) is a
client's error. Any other passes to a provider that is known to take it; to others it is left out,
and the client is told so. Which provider serves is not known when a body is read, so the body is
looked through once, and written anew for a provider only if it has such fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.parsing.extras import LIMITED_EXTRAS
from proxy.parsing.schema import fail

MAX_NAMED = 20
# Keys of a body are a client's text, and become part of a header: nothing else is written there.
_NAMEABLE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


@dataclass(frozen=True, slots=True)
class Shape:
    """An object of a request: the fields that pass, and the shapes of those that hold objects.

    `refused` has a reason for each field that is a client's error. `dropped` never pass and are
    not named to the client.
    """

    names: frozenset[str]
    inner: Mapping[str, Shape] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    refused_prefixes: tuple[str, ...] = ()
    dropped: frozenset[str] = frozenset()

    def why_refused(self, name: str) -> str | None:
        """Return why a field is refused, None if it is not."""
        if name in self.refused:
            return self.refused[name]
        if self.refused_prefixes and name.startswith(self.refused_prefixes):
            return ""
        return None


# The place of an object: that of the one around it, the field there, and the index in its list.
Place = tuple["Place | None", str, int | None]


@dataclass(slots=True)
class Reading:
    """What a body has beyond the specification."""

    shape: Shape
    # By the path that a client is told, the field's own name.
    strangers: dict[str, str] = field(default_factory=dict)
    # The same for fields inside of an extra of which only some pass.
    inside_extras: dict[str, str] = field(default_factory=dict)
    # What was left out for every provider, as a client is told.
    left_out: list[str] = field(default_factory=list)
    # Whether something is never sent on.
    has_dropped: bool = False

    def write(self, body: dict[str, Any], extras: frozenset[str]) -> dict[str, Any]:
        """Return the body for a provider that takes these extras. The body is not changed."""
        if self.has_dropped or self.inside_extras or not extras.issuperset(self.strangers.values()):
            return _copy(body, self.shape, extras)
        return body

    def ignored(self, extras: frozenset[str]) -> str:
        """Return what such a provider does not get, as a header says it; "" for nothing."""
        if not self.strangers and not self.left_out:
            return ""
        return name_ignored(
            [
                *self.left_out,
                *(path for path, name in self.strangers.items() if name not in extras),
                *(path for path, name in self.inside_extras.items() if name in extras),
            ]
        )


def name_ignored(paths: Iterable[str]) -> str:
    """Write the fields that were left out as a header's value: at most 20, then their number."""
    found = list(paths)
    named = [path for path in found if _NAMEABLE.fullmatch(path)][:MAX_NAMED]
    more = len(found) - len(named)
    return ", ".join([*named, *([f"+{more}"] if more else [])])


def read_fields(body: dict[str, Any], shape: Shape, *, known: Collection[str] = ()) -> Reading:
    """Look a body through. Raises InvalidRequest for a field that is refused.

    `known` are fields of the specification whose values have nothing beyond it.
    """
    reading = Reading(shape)
    if known:
        body = {name: value for name, value in body.items() if name not in known}
    _look(body, shape, None, reading)
    return reading


def without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without the fields that are null, which count as absent."""
    if None not in body.values():
        return body
    return {name: value for name, value in body.items() if value is not None}


def _look(value: dict[str, Any], shape: Shape, place: Place | None, reading: Reading) -> None:
    if not value.keys() <= shape.names:
        _note(value, shape, place, reading)
    if not shape.inner:
        return
    for name, child in value.items():
        kind = type(child)
        if (kind is list or kind is dict) and (inner := shape.inner.get(name)) is not None:
            if kind is dict:
                _look(child, inner, (place, name, None), reading)
                continue
            for index, item in enumerate(child):
                if type(item) is dict:
                    _look(item, inner, (place, name, index), reading)


def _note(value: dict[str, Any], shape: Shape, place: Place | None, reading: Reading) -> None:
    """Note the fields of an object that the specification lacks. Raises InvalidRequest."""
    for name, child in value.items():
        if name in shape.names:
            continue
        if child is None or name in shape.dropped:
            reading.has_dropped = True
            continue
        why = shape.why_refused(name)
        if why is None:
            path = _path(place, name)
            reading.strangers[path] = name
            _note_inside(child, name, path, reading)
        elif child is False:
            reading.has_dropped = True
        else:
            at = _where(place, name)
            fail(f"Unsupported parameter: '{at}'.{why and ' '}{why}", at, "unsupported_parameter")


def _note_inside(value: object, name: str, path: str, reading: Reading) -> None:
    if name in LIMITED_EXTRAS and isinstance(value, dict):
        for inner in value.keys() - LIMITED_EXTRAS[name]:
            reading.inside_extras[f"{path}.{inner}"] = name


def _copy(value: dict[str, Any], shape: Shape, extras: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, child in value.items():
        if name in shape.names:
            inner = shape.inner.get(name)
            kept[name] = child if inner is None else _copy_inside(child, inner, extras)
        elif name in extras and child is not None and name not in shape.dropped:
            kept[name] = _limit(name, child)
    return kept


def _copy_inside(value: object, shape: Shape, extras: frozenset[str]) -> object:
    if type(value) is dict:
        return _copy(value, shape, extras)
    if type(value) is list:
        return [_copy(item, shape, extras) if type(item) is dict else item for item in value]
    return value


def _limit(name: str, value: object) -> object:
    allowed = LIMITED_EXTRAS.get(name)
    if allowed is None or not isinstance(value, dict):
        return value
    return {inner: value[inner] for inner in value if inner in allowed}


def _path(place: Place | None, name: str) -> str:
    """Return where a field stands without its indices: messages.content.cache_control."""
    while place is not None:
        place, around, _ = place
        name = f"{around}.{name}"
    return name


def _where(place: Place | None, name: str) -> str:
    """Return where a field stands as errors name it: messages[0].content[1].file.file_id."""
    while place is not None:
        place, around, index = place
        name = f"{around}.{name}" if index is None else f"{around}[{index}].{name}"
    return name
