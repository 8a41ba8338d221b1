"""What differs between the endpoints. Everything else about a request is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from proxy.metering import answers, chats, inputs, items
from proxy.metering.answers import JsonAnswer
from proxy.metering.chunks import ChunkMeter
from proxy.metering.encodings import encoding_for
from proxy.metering.prompt import Prompt
from proxy.metering.responses import ResponseMeter
from proxy.metering.shapes import Label
from proxy.metering.streams import StreamMeter
from proxy.parsing.chat import ChatRequest
from proxy.parsing.completion import CompletionRequest
from proxy.parsing.embedding import EmbeddingRequest
from proxy.parsing.request import ModelRequest
from proxy.parsing.response import ResponseRequest


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How an endpoint's requests are read, and its answers metered."""

    # The endpoint's name in usage records.
    name: str
    # The path below an upstream's base URL.
    path: str
    # The class that parses its bodies.
    request: type[ModelRequest]
    # Takes a checked body and the model's name.
    take_apart: Callable[[Mapping[str, Any], str], Prompt]
    # Raises UpstreamError.
    meter_json: Callable[[bytes, ModelRequest, Label], JsonAnswer]
    meter_stream: Callable[[ModelRequest, Label], StreamMeter]


def _meter_chat(body: bytes, request: ModelRequest, label: Label) -> JsonAnswer:
    return answers.meter_completion(
        body, encoding=encoding_for(request.model), label=label, kind="chat.completion"
    )


def _meter_completion(body: bytes, request: ModelRequest, label: Label) -> JsonAnswer:
    return answers.meter_completion(
        body,
        encoding=encoding_for(request.model),
        label=label,
        kind="text_completion",
        echoes=request.echoes,
    )


def _meter_embeddings(body: bytes, request: ModelRequest, label: Label) -> JsonAnswer:
    return answers.meter_embeddings(body, encoding=encoding_for(request.model), label=label)


def _meter_response(body: bytes, request: ModelRequest, label: Label) -> JsonAnswer:
    return answers.meter_response(body, encoding=encoding_for(request.model), label=label)


def _meter_chunks(kind: str, request: ModelRequest, label: Label) -> ChunkMeter:
    return ChunkMeter(
        encoding=encoding_for(request.model),
        label=label,
        kind=kind,
        wants_usage=request.wants_usage,
        n=request.n,
        echoes=request.echoes,
    )


_meter_chat_chunks = partial(_meter_chunks, "chat.completion.chunk")
_meter_completion_chunks = partial(_meter_chunks, "text_completion")


def _meter_events(request: ModelRequest, label: Label) -> ResponseMeter:
    return ResponseMeter(encoding=encoding_for(request.model), label=label)


CHAT = Endpoint(
    name="chat.completions",
    path="/chat/completions",
    request=ChatRequest,
    take_apart=chats.take_apart,
    meter_json=_meter_chat,
    meter_stream=_meter_chat_chunks,
)
COMPLETIONS = Endpoint(
    name="completions",
    path="/completions",
    request=CompletionRequest,
    take_apart=inputs.take_apart_completion,
    meter_json=_meter_completion,
    meter_stream=_meter_completion_chunks,
)
EMBEDDINGS = Endpoint(
    name="embeddings",
    path="/embeddings",
    request=EmbeddingRequest,
    take_apart=inputs.take_apart_embedding,
    meter_json=_meter_embeddings,
    # Never called: a request for embeddings has no `stream`.
    meter_stream=_meter_chat_chunks,
)
RESPONSES = Endpoint(
    name="responses",
    path="/responses",
    request=ResponseRequest,
    take_apart=items.take_apart,
    meter_json=_meter_response,
    meter_stream=_meter_events,
)
ENDPOINTS = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES)
