"""What all requests to models have in common: the model, the maximum, the body to send on.

Parameters that decide the price or the shape of the answer are checked by the types and limits of
OpenAI's specification. Which parameters there are, and what becomes of the others, is in
`fields.py`, `treatment.py` and `extras.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from proxy.parsing.allowed import Reading
from proxy.parsing.intake import CACHE_SALT, HIDDEN, USER, Customer, Intake
from proxy.parsing.jsonbody import take_written, write
from proxy.parsing.schema import (
    as_list,
    as_object,
    check_boolean,
    check_number,
    check_string,
    fail,
)

MAX_MODEL_CHARS = 256

# Other tiers cost more or less than the price list says.
SERVICE_TIERS = frozenset({"auto", "default"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest(ABC):
    """A checked request. `body` is the client's and must not be changed."""

    body: dict[str, Any]
    # What the body has beyond the specification.
    reading: Reading
    model: str
    stream: bool = False
    # How many answers are returned; each may be as long as the maximum.
    n: int = 1
    # The client's own maximum, under any of its names; None if it set none.
    client_max_tokens: int | None = None
    # The name under which the client set its maximum.
    max_tokens_field: str | None = None
    # The client's own temperature; None if it set none.
    client_temperature: float | None = None
    # Whether the client wants the usage chunk of a stream.
    wants_usage: bool = False

    # How often the answers repeat the whole prompt, which is not charged again.
    echoes: int = 0

    # The name under which our own maximum is sent; None if the endpoint has no maximum.
    own_max_tokens_field: ClassVar[str | None] = "max_tokens"
    # The specification's default maximum; None leaves it to the model's.
    default_max_tokens: ClassVar[int | None] = None
    # The least maximum that the specification allows.
    least_max_tokens: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def parse(cls, payload: dict[str, Any]) -> Self:
        """Check a parsed body. Raises InvalidRequest naming the parameter at fault."""

    @property
    def generations(self) -> int:
        """How many answers are written and charged, which may be more than are returned."""
        return self.n

    def upstream_body(
        self,
        *,
        model: str,
        max_tokens: int,
        intake: Intake,
        customer: Customer,
        temperature: float | None = None,
    ) -> bytes:
        """Return the body for an upstream: what it takes of the client's, and the arguments.

        The maximum is sent under the name that the client used, `temperature` only if the client
        set none.
        """
        body = self.reading.write(self.body, intake.extras) | {"model": model}
        if field := self.max_tokens_field or self.own_max_tokens_field:
            body[field] = max_tokens
        body |= self.own_fields(body, temperature)
        for name in self.left_out():
            body.pop(name, None)
        self._tell_customer(body, intake, customer)
        return write(body, self.body, take_written(self.body))

    def _tell_customer(self, body: dict[str, Any], intake: Intake, customer: Customer) -> None:
        """Hide what the client says of its users; mark the customer where the provider wants it."""
        for name in HIDDEN:
            if name in body:
                body[name] = customer.hide(body[name])
        if mark := intake.customer_mark:
            # Completions and embeddings have the older field alone.
            body.setdefault(mark if mark in self.reading.shape.names else USER, customer.mark())
        if intake.salts_caches:
            body[CACHE_SALT] = customer.cache_salt()

    def own_fields(self, body: Mapping[str, Any], temperature: float | None) -> dict[str, Any]:
        """Return the fields of a body that are sent with our values, whatever the client set."""
        return {}

    def left_out(self) -> Collection[str]:
        """Return the names of the client's fields that are not sent."""
        return ()


def check_model(payload: Mapping[str, Any]) -> str:
    """Return the model's name. Raises InvalidRequest."""
    require(payload, "model")
    model = check_string(payload, "model", nullable=False)
    if not model or len(model) > MAX_MODEL_CHARS:
        fail(f"'model' must have 1 to {MAX_MODEL_CHARS} characters.", "model", "invalid_value")
    return model


def require(payload: Mapping[str, Any], name: str) -> None:
    """Refuse a body that lacks a parameter."""
    if name not in payload:
        fail(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def check_stream_options(payload: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """Return the options of a stream, {} if there are none."""
    if payload.get("stream_options") is None:
        return {}
    if not stream:
        fail(
            "'stream_options' is only allowed when 'stream' is true.",
            "stream_options",
            "invalid_value",
        )
    options = as_object(payload["stream_options"], "stream_options")
    check_boolean(options, "include_obfuscation", within="stream_options.")
    return options


def check_wants_usage(payload: Mapping[str, Any], *, stream: bool) -> bool:
    """Tell whether the client wants the usage chunk of a stream."""
    options = check_stream_options(payload, stream=stream)
    return check_boolean(options, "include_usage", within="stream_options.") or False


def asking_for_usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return `stream_options` that make a stream report usage, with the client's other options."""
    return {"stream_options": (body.get("stream_options") or {}) | {"include_usage": True}}


def check_service_tier(payload: Mapping[str, Any]) -> None:
    """Refuse a tier that has another price."""
    tier = check_string(payload, "service_tier")
    if tier and tier not in SERVICE_TIERS:
        fail(
            f"Invalid value for 'service_tier': '{tier[:50]}' is not offered here; use 'auto' or "
            "'default'.",
            "service_tier",
            "invalid_value",
        )


def check_strings(value: object, where: str, *, expected: str = "an array") -> list[str]:
    """Return a list of strings, [] where it is absent or null."""
    if value is None:
        return []
    items = as_list(value, where, expected=expected)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            fail(f"'{where}[{index}]' must be a string.", f"{where}[{index}]", "invalid_type")
    return items


def check_metadata(metadata: object) -> None:
    """Check that metadata maps strings to strings."""
    if metadata is None:
        return
    entries = as_object(metadata, "metadata")
    for name in entries:
        check_string(entries, name, nullable=False, within="metadata.")


def check_stop(stop: object) -> None:
    """Check the texts at which an answer stops."""
    if stop is None or isinstance(stop, str):
        return
    if not 1 <= len(check_strings(stop, "stop", expected="a string or an array of strings")) <= 4:
        fail("'stop' must hold 1 to 4 strings.", "stop", "invalid_value")


def check_logit_bias(payload: Mapping[str, Any]) -> None:
    """Check the biases that a client gives to single tokens."""
    if payload.get("logit_bias") is None:
        return
    biases = as_object(payload["logit_bias"], "logit_bias")
    for name in biases:
        check_number(biases, name, at_least=-100, at_most=100, within="logit_bias.")
