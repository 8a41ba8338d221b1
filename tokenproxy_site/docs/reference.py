"""The API reference: our OpenAPI schema as tables of fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from common.markdown import Shown, show

Schema = Mapping[str, Any]

# Deeper is what other people's specifications describe.
MOST_LEVELS = 4
JSON = "application/json"
# Of each operation: the example that calls it, and the page that explains it.
EXPLAINED = {
    "createChatCompletion": ("curl-quickstart", "chat-completions"),
    "createCompletion": ("curl-completions", "completions"),
    "createEmbedding": ("curl-embeddings", "embeddings"),
    "createResponse": ("curl-responses", "responses"),
    "countInputTokens": ("curl-input-tokens", "responses"),
    "listModels": ("curl-models", "models"),
    "retrieveModel": ("curl-one-model", "models"),
    "retrieveCredits": ("curl-credits", "balance"),
    "retrieveKey": ("curl-key", "key"),
    "retrieveUsage": ("curl-usage", "receipts"),
    "createEstimate": ("curl-estimate", "receipts"),
    "createCheckout": ("curl-checkout", "checkout"),
}


@dataclass(frozen=True)
class Field:
    """A field of a body, an answer or the address; its level says how deep it lies."""

    name: str
    kind: str
    about: str
    is_required: bool
    level: int = 0


@dataclass(frozen=True)
class Answer:
    """What an operation may answer, by status."""

    status: str
    about: str
    fields: list[Field]
    headers: list[Field]
    streams: bool


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    name: str
    method: str
    path: str
    title: str
    about: str
    group: str
    example: str
    page_slug: str
    parameters: list[Field]
    body_about: Shown | None
    body: list[Field]
    answer: Answer
    answer_about: Shown
    refusals: list[Answer]


@lru_cache(maxsize=1)
def read_reference() -> list[tuple[str, list[Operation]]]:
    """Return all operations, by group. The schema is the same for as long as a process lives."""
    document = SchemaGenerator(urlconf="proxy.urls").get_schema(  # type: ignore[no-untyped-call]
        request=None, public=True
    )
    found = [
        _Reader(document["components"]["schemas"]).read(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    order = list(EXPLAINED)
    found.sort(key=lambda each: order.index(each.name))
    return [(name, list(group)) for name, group in groupby(found, key=lambda each: each.group)]


class _Reader:
    """Reads operations of one document, whose shared schemas it follows."""

    def __init__(self, shared: Schema) -> None:
        self._shared = shared

    def read(self, path: str, method: str, operation: Schema) -> Operation:
        """Return one operation."""
        body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
        answers = [self._answer(*each) for each in sorted(operation["responses"].items())]
        succeeded = operation["responses"]["200"]["content"][JSON]["schema"]
        example, page_slug = EXPLAINED[operation["operationId"]]
        return Operation(
            name=operation["operationId"],
            method=method.upper(),
            path=path,
            title=operation["summary"],
            about=operation["description"],
            group=operation["tags"][0],
            example=example,
            page_slug=page_slug,
            parameters=[self._parameter(each) for each in operation.get("parameters", [])],
            body_about=show(self._about(body)) if body else None,
            body=list(self._fields(body)) if body else [],
            answer=answers[0],
            answer_about=show(self._about(succeeded)),
            refusals=answers[1:],
        )

    def _parameter(self, parameter: Schema) -> Field:
        kind = f"{self._kind(parameter['schema'])}, in the {parameter['in']}"
        about = parameter.get("description", "")
        return Field(parameter["name"], kind, about, parameter.get("required", False))

    def _answer(self, status: str, answer: Schema) -> Answer:
        content = answer.get("content", {})
        headers = [
            Field(
                name, self._kind(each["schema"]), each["description"], each.get("required", False)
            )
            for name, each in answer.get("headers", {}).items()
        ]
        fields = list(self._fields(content.get(JSON, {}).get("schema", {})))
        return Answer(
            status, answer["description"], fields, headers, "text/event-stream" in content
        )

    def _fields(self, schema: Schema, level: int = 0) -> Iterator[Field]:
        inner = self._inside(schema)
        required = inner.get("required", [])
        for name, value in inner.get("properties", {}).items():
            found = self._resolve(value)
            # The description of choices repeats them.
            about = "" if "enum" in found else found.get("description", "")
            yield Field(name, self._kind(value), about, name in required, level)
            if level < MOST_LEVELS:
                yield from self._fields(value, level + 1)

    def _inside(self, schema: Schema) -> Schema:
        """Return the object that a schema describes, or that its list is of."""
        found = self._resolve(schema)
        return self._resolve(found["items"]) if "items" in found else found

    def _resolve(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            found: Schema = self._shared[schema["$ref"].rpartition("/")[2]]
            return found
        for several in ("oneOf", "allOf"):
            for each in schema.get(several, []):
                if each != {"type": "null"}:
                    return self._resolve(each)
        return schema

    def _about(self, schema: Schema) -> str:
        return str(self._resolve(schema).get("description", ""))

    def _kind(self, schema: Schema) -> str:
        """Return what a value is, in a reader's words."""
        found = self._resolve(schema)
        kinds = found.get("type", "any")
        named = [kinds] if isinstance(kinds, str) else list(kinds)
        is_nullable = "null" in named or {"type": "null"} in schema.get("oneOf", [])
        kind = next(each for each in named if each != "null")
        if "enum" in found:
            kind = " or ".join(f"“{each}”" for each in found["enum"])
        elif kind == "array":
            kind = f"array of {self._kind(found['items'])}"
        elif found.get("format") == "date-time":
            kind = "time, ISO 8601"
        if "minimum" in found and "maximum" in found:
            kind += f", {found['minimum']} to {found['maximum']}"
        elif "minimum" in found:
            kind += f", at least {found['minimum']}"
        return f"{kind}, or null" if is_nullable else kind
