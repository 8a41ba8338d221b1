"""The fields of each endpoint's specification, object by object.

Cut from OpenAI's specification, which a test compares. An object whose kinds differ, such as a
part of a message, has the fields of all its kinds. What is not listed by its fields, such as a
function's schema, is the client's own and passes whole.
"""

from __future__ import annotations

from typing import TypeAlias

from proxy.parsing.allowed import Shape
from proxy.parsing.endpoints import ENDPOINTS
from proxy.parsing.extras import NEVER_PASS, NEVER_PASS_PREFIXES
from proxy.parsing.treatment import left_out, refused

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = ENDPOINTS

# The fields of an object; those that hold objects have these fields.
Fields: TypeAlias = "dict[str, Fields | None]"


def _fields(names: str, **inner: Fields) -> Fields:
    return {**dict.fromkeys(names.split()), **inner}


_ALLOWED_TOOL = _fields("type name server_label", function=_fields("name"))

_CHAT = _fields(
    "frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities"
    " model n parallel_tool_calls presence_penalty prompt_cache_key prompt_cache_retention"
    " reasoning_effort safety_identifier seed service_tier stop store stream temperature"
    " top_logprobs top_p user verbosity web_search_options",
    audio=_fields("format voice"),
    function_call=_fields("name"),
    functions=_fields("description name parameters"),
    messages=_fields(
        "name refusal role tool_call_id",
        audio=_fields("id"),
        content=_fields(
            "refusal text type",
            file=_fields("file_data file_id filename"),
            image_url=_fields("detail url"),
            input_audio=_fields("data format"),
            prompt_cache_breakpoint=_fields("mode"),
        ),
        function_call=_fields("arguments name"),
        tool_calls=_fields(
            "id type", custom=_fields("input name"), function=_fields("arguments name")
        ),
    ),
    moderation=_fields("model policy"),
    prediction=_fields(
        "type", content=_fields("text type", prompt_cache_breakpoint=_fields("mode"))
    ),
    prompt_cache_options=_fields("mode ttl"),
    response_format=_fields("type", json_schema=_fields("description name schema strict")),
    stream_options=_fields("include_obfuscation include_usage"),
    tool_choice=_fields(
        "type",
        allowed_tools=_fields("mode tools"),
        custom=_fields("name"),
        function=_fields("name"),
    ),
    tools=_fields(
        "type",
        custom=_fields("description format name"),
        function=_fields("description name parameters strict"),
    ),
)

_COMPLETION = _fields(
    "best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty prompt"
    " seed stop stream suffix temperature top_p user",
    stream_options=_fields("include_obfuscation include_usage"),
)

_EMBEDDING = _fields("dimensions encoding_format input model user")

_TOOL = _fields(
    "allowed_callers defer_loading description format name output_schema parameters strict type"
)
_GIVEN_PART = _fields(
    "detail file_data file_id file_url filename image_url text type",
    prompt_cache_breakpoint=_fields("mode"),
)

_RESPONSE = _fields(
    "background context_management conversation include instructions max_output_tokens"
    " max_tool_calls metadata model parallel_tool_calls previous_response_id prompt"
    " prompt_cache_key prompt_cache_retention safety_identifier service_tier store stream"
    " temperature top_logprobs top_p truncation user",
    input=_fields(
        "arguments call_id encrypted_content id input name namespace phase role status type",
        caller=_fields("caller_id type"),
        content={**_GIVEN_PART, **_fields("annotations logprobs refusal")},
        output=_GIVEN_PART,
        summary=_fields("text type"),
    ),
    moderation=_fields("model policy"),
    prompt_cache_options=_fields("mode ttl"),
    reasoning=_fields("context effort generate_summary mode summary"),
    stream_options=_fields("include_obfuscation"),
    text=_fields("verbosity", format=_fields("description name schema strict type")),
    tool_choice=_fields("mode name type", tools=_ALLOWED_TOOL),
    tools={**_TOOL, "tools": _TOOL},
)

FIELDS = {CHAT: _CHAT, COMPLETIONS: _COMPLETION, EMBEDDINGS: _EMBEDDING, RESPONSES: _RESPONSE}


def _shape(endpoint: str, fields: Fields, path: str = "") -> Shape:
    """Return an object's shape, without what the table of treatments refuses and leaves out."""
    why, dropped = refused(endpoint), left_out(endpoint)
    theirs = {name: why[path + name] for name in fields if path + name in why}
    silent = frozenset(name for name in fields if path + name in dropped)
    return Shape(
        names=frozenset(fields) - theirs.keys() - silent,
        inner={
            name: _shape(endpoint, inner, f"{path}{name}.")
            for name, inner in fields.items()
            if inner is not None and name not in theirs
        },
        refused=theirs if path else dict.fromkeys(NEVER_PASS, "") | theirs,
        refused_prefixes=() if path else NEVER_PASS_PREFIXES,
        dropped=silent,
    )


SHAPES = {endpoint: _shape(endpoint, fields) for endpoint, fields in FIELDS.items()}
