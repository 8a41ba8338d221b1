"""A value that fits a JSON schema, made of what the user said where that fits too.

Numbers and quoted texts of the last user message are used first, in their order: asked for
`magic_function(3)`, the argument is 3. The rest depends on a seed alone. Each value is checked
against its schema before it is used, so what can't be met is refused, not half met.
"""

import hashlib
import math
import random
import re
import string
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import rstr

from sandbox.upstream import words

Schema = dict[str, Any]

# Deeper than this, what may be left out is left out, and null or an empty list is preferred.
FULL_DEPTH = 5
# A schema that goes on for ever without a way out.
MAX_DEPTH = 40
MAX_REFERENCES = 100
# Enough to tell a reader something, few enough to count.
WORDS_PER_TEXT = 3
MAX_LENGTH = 10_000

NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,6})?(?![\w]|\.\d)")
QUOTED = re.compile(r"'([^'\n]{1,200})'(?!\w)|\"([^\"\n]{1,200})\"|`([^`\n]{1,200})`")

OWN_RULES = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
)
FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "P1DT2H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "7d444840-9dc0-41d1-b245-5ffdce74fad2",
}


class UnsupportedSchemaError(Exception):
    """No value could be made for a schema."""


class Hints:
    """What the user said that may be used as a value, each at most once."""

    def __init__(self, text: str) -> None:
        self._numbers = [float(found) for found in NUMBER.findall(text)]
        self.quotes = ["".join(groups) for groups in QUOTED.findall(text)]

    def take_number(self, schema: Schema, *, is_integer: bool) -> float | int | None:
        """The first number that fits the schema."""
        for index, number in enumerate(self._numbers):
            value = int(number) if number.is_integer() else number
            if (not is_integer or isinstance(value, int)) and fits(value, _own_rules(schema)):
                del self._numbers[index]
                return value
        return None

    def take_quote(self, schema: Schema) -> str | None:
        """The first quoted text that fits the schema."""
        for index, quote in enumerate(self.quotes):
            if fits(quote, _own_rules(schema)):
                return self.quotes.pop(index)
        return None


def _own_rules(schema: Schema) -> Schema:
    """The rules of a number or a text, without those that need the rest of the schema."""
    return {name: schema[name] for name in OWN_RULES if name in schema}


def check_schema(schema: object) -> None:
    """Raise UnsupportedSchemaError if this is not a JSON schema."""
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UnsupportedSchemaError(error.message) from None


def fits(value: object, schema: Schema) -> bool:
    """Does the value fit the schema?"""
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def make_value(schema: Schema, *, seed: int, text: str = "") -> Any:
    """A value that fits the schema. Raises UnsupportedSchemaError if none could be made."""
    value = _Maker(schema, seed, Hints(text)).make(schema, 0)
    if not fits(value, schema):
        raise UnsupportedSchemaError("no value that fits this schema could be made")
    return value


def make_object(*, seed: int, text: str) -> dict[str, Any]:
    """Any JSON object; the names that the user quoted are its keys."""
    names = Hints(text).quotes or ["answer"]
    return {name: _say(seed + index) for index, name in enumerate(names)}


def _say(seed: int) -> str:
    return "".join(words.pieces(seed, WORDS_PER_TEXT))


class _Maker:
    """Makes the parts of one value."""

    def __init__(self, root: Schema, seed: int, hints: Hints) -> None:
        self._root = root
        self._hints = hints
        self._seeds = _seeds(seed)

    def make(self, schema: Any, depth: int) -> Any:
        if schema is False or depth > MAX_DEPTH:
            raise UnsupportedSchemaError("a part of this schema allows no value")
        schema = self._simplify({} if schema is True else schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._pick(schema)
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "integer": lambda: self._number(schema, is_integer=True),
            "number": lambda: self._number(schema, is_integer=False),
            "boolean": lambda: next(self._seeds) % 2 == 0,
            "null": lambda: None,
        }
        return makers.get(self._kind(schema, depth), lambda: self._text(schema))()

    def _simplify(self, schema: Schema, depth: int) -> Schema:
        """The schema without references and choices."""
        for _ in range(MAX_REFERENCES):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _merge(self._look_up(schema["$ref"]), rest)
            elif "allOf" in schema:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    rest = _merge(rest, self._simplify(_as_schema(part), depth))
                schema = rest
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: value for k, value in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _merge(rest, self._choose(options, depth))
            else:
                return schema
        raise UnsupportedSchemaError("the references of this schema never end")

    def _look_up(self, reference: str) -> Schema:
        """What a reference within the schema points at."""
        if not reference.startswith("#"):
            raise UnsupportedSchemaError(f"the reference {reference!r} leads out of the schema")
        place: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(place, dict) or name not in place:
                raise UnsupportedSchemaError(f"the reference {reference!r} leads nowhere")
            place = place[name]
        return _as_schema(place)

    def _choose(self, options: list[Any], depth: int) -> Schema:
        """One option: a real value while there is room for it, the simplest after that."""
        schemas = [_as_schema(option) for option in options if option is not False]
        if not schemas:
            raise UnsupportedSchemaError("a part of this schema allows no value")
        simple = [schema for schema in schemas if schema.get("type") == "null"]
        if depth >= FULL_DEPTH:
            plain = [schema for schema in schemas if not schema.keys() & {"$ref", "properties"}]
            return (simple or plain or schemas)[0]
        return next((schema for schema in schemas if schema not in simple), schemas[0])

    def _pick(self, schema: Schema) -> Any:
        kinds = schema.get("type")
        choices = [v for v in schema["enum"] if kinds is None or fits(v, {"type": kinds})]
        if not choices:
            raise UnsupportedSchemaError("an enum of this schema allows no value")
        return choices[next(self._seeds) % len(choices)]

    def _kind(self, schema: Schema, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            if depth >= FULL_DEPTH and "null" in kind:
                return "null"
            return next((one for one in kind if one != "null"), "null")
        if kind is None:
            return _implied_kind(schema)
        return str(kind)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        names = list(required) if required or depth >= FULL_DEPTH else list(properties)
        ordered = [name for name in properties if name in names]
        ordered += [name for name in names if name not in properties]
        others = schema.get("additionalProperties", True)
        made = {
            name: self.make(properties.get(name, others), depth + 1)
            for name in dict.fromkeys(ordered)
        }
        for name in (name for name in properties if name not in made):
            if len(made) >= schema.get("minProperties", 0):
                break
            made[name] = self.make(properties[name], depth + 1)
        while len(made) < min(schema.get("minProperties", 0), MAX_LENGTH):
            made[f"key{len(made)}"] = self.make(others, depth + 1)
        return made

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        fewest = schema.get("minItems", 0)
        most = schema.get("maxItems", MAX_LENGTH)
        wanted = fewest if depth >= FULL_DEPTH else max(fewest, min(2, most))
        if wanted > MAX_LENGTH:
            raise UnsupportedSchemaError("an array of this schema is too long")
        firsts = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        if rest is False:
            wanted = min(wanted, len(firsts))
        items: list[Any] = []
        for index in range(max(wanted, min(len(firsts), most))):
            part = firsts[index] if index < len(firsts) else rest
            items.append(self._item(part, items if schema.get("uniqueItems") else [], depth))
        return items

    def _item(self, schema: Any, others: list[Any], depth: int) -> Any:
        for _ in range(50):
            item = self.make(schema, depth + 1)
            if item not in others:
                return item
        raise UnsupportedSchemaError("an array of this schema needs more different items")

    def _number(self, schema: Schema, *, is_integer: bool) -> float | int:
        if (said := self._hints.take_number(schema, is_integer=is_integer)) is not None:
            return said
        step = schema.get("multipleOf", 1 if is_integer else 0.5)
        # A whole number that is a multiple of 0.5 need not be one of 1, but mostly may be.
        step = 1 if is_integer and step % 1 else step
        lowest, highest = _bounds(schema, step)
        first = math.ceil(lowest / step)
        last = math.floor(highest / step)
        if last < first:
            return int(lowest) if is_integer else (lowest + highest) / 2
        value = (first + next(self._seeds) % (last - first + 1)) * step
        return int(value) if is_integer else value

    def _text(self, schema: Schema) -> str:
        if (pattern := schema.get("pattern")) is not None:
            return self._matching(pattern)
        if (known := FORMATS.get(schema.get("format", ""))) is not None:
            return known
        if (said := self._hints.take_quote(schema)) is not None:
            return said
        text = _say(next(self._seeds))
        fewest = min(schema.get("minLength", 0), MAX_LENGTH)
        while len(text) < fewest:
            text += " " + _say(next(self._seeds))
        return text[: schema.get("maxLength", len(text))]

    def _matching(self, pattern: str) -> str:
        chance = random.Random(next(self._seeds))  # noqa: S311 - repeatable, not a secret
        try:
            return str(rstr.Rstr(chance, printable=string.ascii_letters).xeger(pattern))
        except (re.error, KeyError, OverflowError, ValueError) as error:
            raise UnsupportedSchemaError(f"the pattern {pattern!r}: {error}") from None


def _seeds(seed: int) -> Iterator[int]:
    """Numbers without end that depend on the seed alone."""
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    while True:
        yield int.from_bytes(digest)
        digest = hashlib.blake2b(digest, digest_size=8).digest()


def _as_schema(schema: Any) -> Schema:
    if isinstance(schema, dict):
        return schema
    return {} if schema is True else {"enum": []}


def _merge(first: Schema, second: Schema) -> Schema:
    """Both schemas at once, as far as their objects go; the second wins where they differ."""
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        merged["required"] = [*first["required"], *second["required"]]
    return merged


def _implied_kind(schema: Schema) -> str:
    if schema.keys() & {"properties", "required", "additionalProperties", "minProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems", "minItems"}:
        return "array"
    if schema.keys() & {"minimum", "maximum", "multipleOf", "exclusiveMinimum"}:
        return "number"
    return "string"


def _bounds(schema: Schema, step: float) -> tuple[float, float]:
    lows = [schema["minimum"]] if "minimum" in schema else []
    highs = [schema["maximum"]] if "maximum" in schema else []
    lows += [schema["exclusiveMinimum"] + step] if "exclusiveMinimum" in schema else []
    highs += [schema["exclusiveMaximum"] - step] if "exclusiveMaximum" in schema else []
    if lows:
        return max(lows), min(highs) if highs else max(lows) + 100 * step
    return (min(highs) - 100 * step, min(highs)) if highs else (0, 100 * step)
