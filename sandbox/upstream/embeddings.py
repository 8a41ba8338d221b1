"""POST /v1/embeddings: unit vectors that depend on the text alone."""

import array
import base64
import hashlib
import itertools
import math
import sys
from dataclasses import dataclass

import orjson

from sandbox.upstream import counting, usage
from sandbox.upstream.answers import Directives
from sandbox.upstream.chat_chunks import ChunkWriter
from sandbox.upstream.chat_request import parse_model
from sandbox.upstream.counting import PromptCount
from sandbox.upstream.errors import ApiError
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.playback import Script
from sandbox.upstream.provider import Provider
from sandbox.upstream.serving import Job, Reply, serve
from sandbox.upstream.texts import parse_texts
from sandbox.upstream.validation import Payload, check_choice, check_integer, check_type, missing

DIMENSIONS = {"text-embedding-3-large": 3072}
DEFAULT_DIMENSIONS = 1536
# The one published model whose vectors can't be shortened.
FIXED = "text-embedding-ada-002"
MAX_INPUTS = 2048
MAX_INPUT_TOKENS = 8192
MAX_TOKENS = 300_000

_ids = (f"embd-{number:016x}" for number in itertools.count(1))


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What this provider acts on."""

    model: str
    texts: list[str]
    dimensions: int
    is_base64: bool
    is_stream: bool = False

    def digest(self) -> bytes:
        """What makes two requests the same."""
        return hashlib.blake2b(orjson.dumps(self.texts), digest_size=16).digest()

    @classmethod
    def parse(cls, payload: Payload) -> "EmbeddingRequest":
        """Validate a body. Raises ApiError 400 that names the parameter."""
        model = parse_model(payload)
        check_type(payload, "user", str)
        return cls(
            model=model,
            texts=_texts(payload, model),
            dimensions=_dimensions(payload, model),
            is_base64=check_choice(payload, "encoding_format", ("float", "base64")) == "base64",
        )


def _texts(payload: Payload, model: str) -> list[str]:
    if payload.get("input") is None:
        raise missing("input")
    texts = parse_texts(payload["input"], "input", counting.encoding_for(model))
    if len(texts) > MAX_INPUTS:
        raise ApiError(400, f"'input' holds more than {MAX_INPUTS} texts.", param="input")
    if not all(texts):
        raise ApiError(400, "'input' holds an empty text.", param="input")
    return texts


def _dimensions(payload: Payload, model: str) -> int:
    name = model.rpartition("/")[2]
    most = DIMENSIONS.get(name, DEFAULT_DIMENSIONS)
    wanted = check_integer(payload, "dimensions", 1, most)
    if wanted is not None and name == FIXED:
        raise ApiError(
            400, "This model does not support specifying dimensions.", param="dimensions"
        )
    return wanted or most


async def create_embeddings(exchange: Exchange, provider: Provider) -> None:
    """Turn texts into vectors."""
    await serve(exchange, provider, EmbeddingRequest.parse, _work_out)


async def _work_out(request: EmbeddingRequest, job: Job) -> Reply:
    vocabulary = counting.encoding_for(request.model)
    counts = [counting.count_text(text, vocabulary) for text in request.texts]
    _check_size(counts)
    job.record.is_accepted = True
    job.record.prompt_tokens = sum(counts)
    used = usage.sum_usage(PromptCount(sum(counts)), [], Directives())
    reported = usage.distort(job.fault, used, max_tokens=0)
    told = {}
    if reported is not None:
        keys = ("prompt_tokens", "total_tokens")
        told = {"usage": {key: reported[key] for key in keys}}
    data = [_describe(index, text, request) for index, text in enumerate(request.texts)]
    body = orjson.dumps({"object": "list", "data": data, "model": request.model, **told})
    script = Script([(body, 0, 0)], usage=reported, promised_length=len(body))
    return Reply(next(_ids), script, ChunkWriter(head={}, wants_usage=False), 0)


def _check_size(counts: list[int]) -> None:
    if max(counts) > MAX_INPUT_TOKENS:
        raise ApiError(
            400,
            f"Invalid 'input': maximum context length is {MAX_INPUT_TOKENS} tokens.",
            param="input",
            code="context_length_exceeded",
        )
    if sum(counts) > MAX_TOKENS:
        raise ApiError(
            400, f"Requested more than {MAX_TOKENS} tokens.", param="input", code="max_tokens"
        )


def _describe(index: int, text: str, request: EmbeddingRequest) -> dict[str, object]:
    vector = embed(text, request.model, request.dimensions)
    value: object = vector.tolist()
    if request.is_base64:
        value = base64.b64encode(_little_endian(vector)).decode()
    return {"object": "embedding", "index": index, "embedding": value}


def embed(text: str, model: str, dimensions: int) -> "array.array[float]":
    """The text's vector: as long as 1, shorter ones being the start of longer ones."""
    identity = orjson.dumps([model, text])
    noise = array.array("i", hashlib.shake_256(identity).digest(4 * dimensions))
    length = math.sqrt(sum([float(number) ** 2 for number in noise]))
    return array.array("f", [number / length for number in noise])


def _little_endian(vector: "array.array[float]") -> bytes:
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()
