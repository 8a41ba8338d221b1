"""Scripted upstreams: what each sends, what its client sees, and what is charged.

Shapes are those of the named upstreams' own documentation and of public bug reports: `source` says
which, with the day of the report. All were read on 2026-11-28. `OURS` is made up, to be hostile.
What must never reach a client has `Canary` in it.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

STREAM, JSON = "text/event-stream", "application/json"
CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = (
    "chat.completions",
    "completions",
    "embeddings",
    "responses",
)
HEAD = {"id": "gen-Canary", "object": "chat.completion.chunk", "created": 7, "model": "CanaryModel"}
OURS = "ours"
# By our own count: what the prompt of each endpoint's short request has.
PROMPT = {CHAT: 9, COMPLETIONS: 2, EMBEDDINGS: 2, RESPONSES: 9}


@dataclass(frozen=True)
class Row:
    """One upstream, one request."""

    name: str
    body: bytes
    # The text of the answer, or the status of an error, or text and then an error.
    sees: str
    # Prompt and completion tokens and who counted them; None: nothing, and no receipt.
    paid: tuple[int, int, str] | None
    endpoint: str = CHAT
    stream: bool = True
    media_type: str = STREAM
    status: int = 200
    # What else the client must find in the answer, and the request's own fields.
    shows: tuple[str, ...] = ()
    asks: dict[str, Any] = field(default_factory=dict)
    # Where the upstream's words or figures were read.
    source: str = "ours"


def lines(*payloads: object, done: bool = True) -> bytes:
    """Write events: objects as JSON, text as it is."""
    written = [p if isinstance(p, str) else orjson.dumps(p).decode() for p in payloads]
    written += ["[DONE]"] if done else []
    return "".join(f"data: {line}\n\n" for line in written).encode()


def said(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat."""
    delta = ({} if text is None else {"content": text}) | more.pop("delta", {})
    choice = {"index": 0, "delta": delta, "finish_reason": finish} | more.pop("choice", {})
    return HEAD | {"choices": [choice]} | more


def used(prompt: Any, completion: Any, total: Any = None, **more: Any) -> dict[str, Any]:
    figures = {"prompt_tokens": prompt, "completion_tokens": completion}
    return figures | ({} if total is None else {"total_tokens": total}) | more


def report(usage: object, **more: Any) -> dict[str, Any]:
    """A chunk with figures alone."""
    return HEAD | {"choices": [], "usage": usage} | more


def whole(text: Any = "Hi there.", finish: Any = "stop", **more: Any) -> bytes:
    """A chat in one piece."""
    message = {"role": "assistant", "content": text} | more.pop("message", {})
    choice = {"index": 0, "message": message, "finish_reason": finish} | more.pop("choice", {})
    head = HEAD | {"object": "chat.completion"}
    return orjson.dumps(head | {"choices": [choice], "usage": used(20, 5, 25)} | more)


HI = (said("Hi"), said(" there."), said(finish="stop"))
FULL = (20, 5, "reported")
# "Hi there." by our own count.
COUNTED = (PROMPT[CHAT], 3, "estimated")


def usage_row(name: str, usage: Any, paid: tuple[int, int, str] | None, **more: Any) -> Row:
    """A stream that ends with these figures."""
    return Row(f"usage-{name}", lines(*HI, report(usage)), "Hi there.", paid, **more)


COST = {"cost": 0.0314159, "cost_in_usd_ticks": 31415900, "estimated_cost": 0.0314159}
USAGE_ROWS = [
    usage_row(
        "openai",
        used(
            20,
            5,
            25,
            prompt_tokens_details={"cached_tokens": 8, "audio_tokens": 0},
            completion_tokens_details={"reasoning_tokens": 2, "accepted_prediction_tokens": 1},
        ),
        FULL,
        shows=('"cached_tokens":8', '"reasoning_tokens":2', '"accepted_prediction_tokens":1'),
        source="OpenAI's specification, CompletionUsage (tests/conformance/openai-api.json)",
    ),
    usage_row(
        "azure",
        used(20, 5, 25, completion_tokens_details=None),
        FULL,
        source="learn.microsoft.com/answers/questions/1533887, 2024-02-16; null details are ours",
    ),
    usage_row(
        "anthropic-native",
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 4,
            "cache_read_input_tokens": 6,
            "output_tokens": 5,
        },
        FULL,
        shows=('"cached_tokens":6',),
        source="github.com/crewAIInc/crewAI/pull/6770; github.com/vercel/ai/issues/8349",
    ),
    usage_row(
        "anthropic-through-a-gateway",
        used(20, 5, 25, cache_read_input_tokens=6, cache_creation_input_tokens=0),
        FULL,
        shows=('"cached_tokens":6',),
        source="ours: Anthropic's names beside OpenAI's",
    ),
    usage_row(
        "cache-beside-the-prompt",
        used(10, 5, 25, cache_read_input_tokens=10),
        FULL,
        shows=('"cached_tokens":10',),
    ),
    usage_row(
        "gemini-thoughts-in-the-total",
        used(20, 5, 125),
        (20, 105, "reported"),
        source="discuss.ai.google.dev/t/98760, 2025-08-19 (758, 102, 1725)",
    ),
    usage_row(
        "gemini-native",
        {
            "promptTokenCount": 20,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 100,
            "totalTokenCount": 125,
        },
        (20, 105, "reported"),
        shows=('"reasoning_tokens":100',),
        source="github.com/mozilla-ai/any-llm/issues/1290, 2026-08-16 (20, 198, 405, 623)",
    ),
    usage_row(
        "gemini-nothing-but-thoughts",
        {"promptTokenCount": 20, "thoughtsTokenCount": 60, "totalTokenCount": 80},
        (20, 60, "reported"),
        shows=('"reasoning_tokens":60',),
        source="github.com/router-for-me/CLIProxyAPI/issues/5733, 2026-09-11 (21, 60, 81)",
    ),
    usage_row(
        "gemini-nothing-but-thoughts-in-openais-shape",
        used(20, 0, 80, completion_tokens_details={"reasoning_tokens": 60}),
        (20, 60, "reported"),
        shows=('"reasoning_tokens":60',),
        source="github.com/router-for-me/CLIProxyAPI/issues/5733, 2026-09-11",
    ),
    usage_row(
        "gemini-without-a-completion",
        {"prompt_tokens": 20, "total_tokens": 80},
        (20, 60, "reported"),
        source="ours: the same without details",
    ),
    usage_row(
        "gemini-tools-in-the-prompt",
        {
            "promptTokenCount": 33,
            "toolUsePromptTokenCount": 39,
            "candidatesTokenCount": 106,
            "thoughtsTokenCount": 106,
            "totalTokenCount": 284,
        },
        (72, 212, "reported"),
        shows=('"reasoning_tokens":106',),
        source="github.com/pydantic/genai-prices, tests/dataset/usages.json (54, 161, 141, 356)",
    ),
    usage_row(
        "gemini-without-a-total",
        {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 5},
        (100, 25, "reported"),
        shows=('"reasoning_tokens":5',),
        source="ours: Google's fields without their sum, which streams may leave out",
    ),
    usage_row(
        "mistral-cached-in-details",
        used(1013, 30, 1043, prompt_tokens_details={"cached_tokens": 1008}),
        (1013, 30, "reported"),
        shows=('"cached_tokens":1008',),
        source="github.com/mistralai/client-ts/issues/240, 2026-06-09",
    ),
    usage_row(
        "mistral-cached-in-detail",
        used(20, 5, 25, prompt_token_details={"cached_tokens": 3}),
        FULL,
        shows=('"cached_tokens":3',),
        source="github.com/vercel/ai/pull/14419, 2026-04-14",
    ),
    usage_row(
        "xai-responses-shape",
        {
            "input_tokens": 125,
            "input_tokens_details": {"cached_tokens": 98},
            "output_tokens": 48,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 173,
            "num_sources_used": 0,
            **COST,
        },
        (125, 48, "reported"),
        shows=('"cached_tokens":98',),
        source="docs.x.ai/developers/advanced-api-usage/prompt-caching/usage-and-pricing",
    ),
    usage_row(
        "xai-reasoning-beside",
        used(20, 5, 125, completion_tokens_details={"reasoning_tokens": 100}, **COST),
        (20, 105, "reported"),
        shows=('"reasoning_tokens":100',),
        source="github.com/vercel/ai/pull/12425, 2026-02-11; docs.x.ai/developers/rate-limits",
    ),
    usage_row(
        "deepseek",
        used(20, 5, 25, prompt_cache_hit_tokens=16, prompt_cache_miss_tokens=4),
        FULL,
        shows=('"cached_tokens":16',),
        source="github.com/prism-php/prism/pull/1021, 2026-05-22",
    ),
    usage_row(
        "moonshot",
        used(20, 5, 25, cached_tokens=12),
        FULL,
        shows=('"cached_tokens":12',),
        source="github.com/promptfoo/promptfoo/pull/10132, 2026-07-17, by a live call",
    ),
    Row(
        "usage-moonshot-in-the-choice",
        lines(*HI[:2], said(finish="stop", choice={"usage": used(20, 5, 25)})),
        "Hi there.",
        FULL,
        source="github.com/earendil-works/pi/issues/2017, 2026-03-10",
    ),
    usage_row(
        "groq",
        used(20, 5, 25, queue_time=0.03, prompt_time=0.01, total_time=0.1),
        FULL,
        source="an answer of 2025-04-14 that a public repository kept (40, 25, 65)",
    ),
    Row(
        "usage-groq-in-x_groq",
        lines(*HI[:2], said(finish="stop", x_groq={"id": "req_Canary", "usage": used(20, 5, 25)})),
        "Hi there.",
        FULL,
        source="github.com/groq/groq-python, types/chat/chat_completion_chunk.py XGroq",
    ),
    Row(
        "usage-mistral-with-the-last-words",
        lines(said("Hi"), said(" there.", "stop", usage=used(20, 5, 25))),
        "Hi there.",
        FULL,
        source="github.com/mistralai/client-ts/issues/240, 2026-06-09; its place is ours",
    ),
    usage_row(
        "mistral-cached",
        used(20, 5, 25, num_cached_tokens=3),
        FULL,
        source="github.com/vercel/ai/issues/14382, 2026-04-13",
    ),
    usage_row(
        "openrouter",
        used(20, 5, 25, is_byok=False, cost_details={"x": 1}, **COST),
        FULL,
        source="openrouter.ai/docs/use-cases/usage-accounting",
    ),
    usage_row(
        "vllm",
        used(20, 5, 25, prompt_tokens_details=None),
        FULL,
        source="github.com/vllm-project/vllm, tests of stream_options",
    ),
    usage_row(
        "input-and-output",
        {"input_tokens": 20, "output_tokens": 5},
        FULL,
        source="docs.x.ai/developers/advanced-api-usage/prompt-caching/usage-and-pricing",
    ),
    usage_row(
        "whole-floats",
        used(20.0, 5.0, 25.0),
        FULL,
        source="openrouter.ai/docs/agent-sdk/typescript/models/chatgenerationtokenusage: numbers",
    ),
    usage_row("zero-total", used(20, 5, 0), FULL),
    usage_row("zero", used(0, 0, 0), (0, 0, "reported")),
    usage_row("strings", used("20", "5", "25"), (9, 3, "parked")),
    usage_row("negative", used(20, -5, 15), (9, 3, "parked")),
    usage_row("total-too-small", used(20, 5, 24), (9, 3, "parked")),
    usage_row(
        "reasoning-above-completion",
        used(20, 5, 25, completion_tokens_details={"reasoning_tokens": 9}),
        (9, 3, "parked"),
    ),
    usage_row("above-the-maximum", used(20, 9999, 10019), (9, 3, "parked")),
    usage_row("half-a-token", used(20, 4.5, 24.5), (9, 3, "parked")),
    usage_row("none", None, COUNTED),
    usage_row("empty", {}, COUNTED),
    usage_row("nulls", used(None, None), COUNTED),
    Row(
        "usage-early-then-zero",
        lines(said("Hi", usage=used(20, 5, 25)), *HI[1:], report(used(0, 0, 0))),
        "Hi there.",
        FULL,
    ),
    Row(
        "usage-early-and-more-text",
        lines(said("Hi", usage=used(20, 1, 21)), said(" there" * 9, "stop")),
        "Hi" + " there" * 9,
        (20, 10, "estimated"),
    ),
    Row(
        "usage-partial-at-the-end",
        lines(*HI, report(used(20, 5, 25)), report({"prompt_tokens": 20})),
        "Hi there.",
        FULL,
    ),
    Row(
        "usage-vllm-in-every-chunk",
        lines(
            said("Hi", usage=used(20, 1, 21)),
            said(" there.", usage=used(20, 3, 23)),
            said(finish="stop", usage=used(20, 5, 25)),
            report(used(20, 5, 25)),
        ),
        "Hi there.",
        FULL,
        source="vLLM's continuous_usage_stats: github.com/vllm-project/vllm",
    ),
    Row("usage-whole", whole(usage=used(20, 5, 25, **COST)), "Hi there.", FULL, stream=False),
    Row(
        "usage-whole-xai",
        whole(usage=used(20, 5, 125, completion_tokens_details={"reasoning_tokens": 100})),
        "Hi there.",
        (20, 105, "reported"),
        stream=False,
        source="github.com/Wei-Shaw/sub2api/issues/5771, 2026-08-18 (10120, 1499, 2809, 14428)",
    ),
    Row("usage-whole-none", whole(usage=None), "Hi there.", COUNTED, stream=False),
]

ERROR = {"message": "Canary is over its quota", "type": "server_error", "code": 502}
TOLD = "Hi, error"
ONE = (9, 1, "estimated")
FAILURE_ROWS = [
    Row("error-only", lines({"error": ERROR}), "502", None),
    Row("error-without-a-done", lines({"error": ERROR}, done=False), "502", None),
    Row("error-after-text", lines(said("Hi"), {"error": ERROR}), TOLD, ONE),
    Row("error-beside-choices", lines(said("Hi"), said("x", error=ERROR)), TOLD, ONE),
    Row("error-in-a-choice", lines(said("Hi"), said(choice={"error": ERROR})), TOLD, ONE),
    Row("error-as-a-finish", lines(said("Hi"), said(finish="error")), TOLD, ONE),
    Row(
        "error-in-x_groq",
        lines(said("Hi"), said(finish="stop", x_groq={"id": "req_Canary", "error": "Canary"})),
        TOLD,
        ONE,
        source="github.com/groq/groq-python, types/chat/chat_completion_chunk.py XGroq",
    ),
    Row("error-as-text", lines(said("Hi"), {"error": "Canary"}), TOLD, ONE),
    Row("error-in-a-list", lines(said("Hi"), {"errors": [ERROR]}), TOLD, ONE),
    Row(
        "error-event",
        lines(said("Hi"), done=False) + b'event: error\ndata: {"message":"Canary"}\n\n',
        TOLD,
        ONE,
    ),
    Row(
        "error-line-without-data",
        lines(said("Hi"), done=False) + b'{"error":{"message":"Canary"}}\n\n',
        TOLD,
        ONE,
    ),
    Row("error-of-vllm", lines({"object": "error", "message": "Canary", "code": 500}), "502", None),
    Row("error-of-anthropic", lines({"type": "error", "error": ERROR}), "502", None),
    Row(
        "error-of-minimax",
        lines({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "Canary"}}),
        "502",
        None,
    ),
    Row("error-of-fastapi", lines({"detail": "Canary"}), "502", None),
    Row("error-with-a-rate-limit", lines({"error": ERROR | {"code": 429}}), "503", None),
    Row(
        "error-of-deepseeks-resources",
        lines(said("Hi"), said(finish="insufficient_system_resource")),
        TOLD,
        ONE,
    ),
    Row("done-alone", lines(), "502", None),
    Row("done-after-pings", b": ping\n\n" + lines("ping", "null"), "502", None),
    Row("usage-alone", lines(report(used(20, 5, 25))), "502", None),
    Row("nothing", b"", "502", (0, 0, "estimated")),
    Row("a-page", b"<html>Canary</html>", "502", (0, 0, "estimated"), media_type="text/html"),
    Row("cut", lines(*HI[:2], done=False), "Hi there., error", COUNTED),
    Row(
        "role-then-nothing",
        lines(said("", delta={"role": "assistant"}), done=False),
        ", error",
        (0, 0, "estimated"),
    ),
    Row("whole-error", orjson.dumps({"error": ERROR}), "502", None, stream=False),
    Row("whole-error-beside", whole(error=ERROR), "502", None, stream=False),
    Row("whole-error-in-choice", whole(choice={"error": ERROR}), "502", None, stream=False),
    Row("whole-error-finish", whole(finish="error"), "502", None, stream=False),
    Row("whole-no-choices", whole(choices=[]), "502", (0, 0, "estimated"), stream=False),
    Row("whole-null-choices", whole(choices=None), "502", (0, 0, "estimated"), stream=False),
    Row("whole-null", b"null", "502", (0, 0, "estimated"), stream=False),
    Row("whole-cut", whole()[:40], "502", (0, 0, "estimated"), stream=False),
    Row(
        "embeddings-error",
        orjson.dumps({"error": ERROR, "data": []}),
        "502",
        None,
        endpoint=EMBEDDINGS,
        stream=False,
    ),
    Row(
        "overflow-in-a-200",
        lines(
            {"error": {"code": 400, "message": "prompt is too long: 9000 tokens > 8192 maximum"}}
        ),
        "400",
        None,
        shows=("context_length_exceeded", "8192", "9000"),
    ),
]

THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add"}}
WHO = {
    "provider": "Canary",
    "system_fingerprint": "fp_CanaryBuild",
    "x_canary": {"id": "Canary"},
    "service_tier": "on_demand_Canary",
    "upstream_id": "Canary",
    "price": 0.0314159,
    "prompt_filter_results": ["Canary"],
    "timings": {"host": "Canary"},
}
SHAPE_ROWS = [
    Row("plain", lines(*HI), "Hi there.", COUNTED),
    Row(
        "who-served",
        lines(*(c | WHO for c in HI), report(used(20, 5, 25), **WHO)),
        "Hi there.",
        FULL,
    ),
    Row(
        "who-served-in-choices",
        lines(
            said(
                "Hi", choice={"native_finish_reason": "Canary", "content_filter_results": "Canary"}
            ),
            said(" there.", "stop", delta={"provider_specific_fields": {"a": "Canary"}}),
        ),
        "Hi there.",
        COUNTED,
    ),
    Row("who-served-whole", whole(**WHO), "Hi there.", FULL, stream=False),
    Row(
        "no-chunks-between",
        lines(
            said("Hi"),
            "null",
            "",
            "ping",
            "[]",
            "7",
            '"Canary"',
            {"type": "ping", "host": "Canary"},
            HEAD,
            HEAD | {"choices": None},
            HEAD | {"choices": []},
            HEAD | {"choices": [None]},
            said(choice={"delta": None}),
            "{broken",
            *HI[1:],
        ),
        "Hi there.",
        COUNTED,
    ),
    Row(
        "ids-and-retries",
        lines(*HI).replace(b"data: {", b"id: 7\nretry: 100\nevent: Canary\ndata: {"),
        "Hi there.",
        COUNTED,
    ),
    Row("comments", b": OPENROUTER Canary\n\n" + lines(*HI), "Hi there.", COUNTED),
    Row("carriage-returns", lines(*HI).replace(b"\n", b"\r\n"), "Hi there.", COUNTED),
    Row("no-space-after-data", lines(*HI).replace(b"data: ", b"data:"), "Hi there.", COUNTED),
    Row("two-spaces", lines(*HI).replace(b"data: ", b"data:  "), "Hi there.", COUNTED),
    Row(
        "many-lines-of-data",
        lines(*HI).replace(b',"choices"', b'\ndata: ,"choices"'),
        "Hi there.",
        COUNTED,
    ),
    Row("no-last-blank-line", lines(*HI).rstrip(), "Hi there.", COUNTED),
    Row("no-done", lines(*HI, done=False), "Hi there.", COUNTED),
    Row("done-without-a-finish", lines(*HI[:2]), "Hi there.", COUNTED),
    Row("empty-finishes", lines(said("Hi", ""), said(" there.", ""), HI[2]), "Hi there.", COUNTED),
    Row(
        "finish-of-anthropic",
        lines(*HI[:2], said(finish="end_turn")),
        "Hi there.",
        COUNTED,
        shows=('"finish_reason":"stop"',),
    ),
    Row(
        "finish-of-gemini",
        lines(*HI[:2], said(finish="MAX_TOKENS")),
        "Hi there.",
        COUNTED,
        shows=('"finish_reason":"length"',),
    ),
    Row(
        "finish-unknown",
        lines(*HI[:2], said(finish="Canary")),
        "Hi there.",
        COUNTED,
        shows=('"finish_reason":"stop"',),
    ),
    Row("minimal", lines({"choices": [{"delta": {"content": "Hi there."}}]}), "Hi there.", COUNTED),
    Row("bom", b"\xef\xbb\xbf" + lines(*HI), "Hi there.", COUNTED),
    Row("half-a-pair", lines(*HI).replace(b"there", b"\\ud83d"), "Hi �.", (9, 3, "estimated")),
    Row(
        "odd-escape",
        lines(*HI).replace(b"there", b"\\there\\q"),
        "Hi \there\\q.",
        (9, 7, "estimated"),
    ),
    Row(
        "nan",
        lines(*HI).replace(b'"finish_reason":null', b'"logprobs":NaN,"finish_reason":null'),
        "Hi there.",
        COUNTED,
    ),
    Row("bad-utf8", lines(*HI).replace(b"there", b"\xff"), "Hi �.", (9, 3, "estimated")),
    Row(
        "content-as-parts",
        lines(said(delta={"content": [{"type": "text", "text": "Hi there."}]}), HI[2]),
        "Hi there.",
        COUNTED,
    ),
    Row(
        "mistral-thinking-parts",
        lines(said(delta={"content": THINKING}), *HI),
        "Hi there.",
        (9, 4, "estimated"),
        shows=('"reasoning_content":"Hm"',),
    ),
    Row(
        "reasoning-of-deepseek",
        lines(said(delta={"content": None, "reasoning_content": "Hm"}), *HI),
        "Hi there.",
        (9, 4, "estimated"),
        shows=('"reasoning_content":"Hm"',),
    ),
    Row(
        "reasoning-said-twice",
        lines(
            said(
                delta={
                    "reasoning": "Hm",
                    "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}],
                }
            ),
            *HI,
        ),
        "Hi there.",
        (9, 4, "estimated"),
    ),
    Row(
        "reasoning-of-an-unknown-name",
        lines(said(delta={"musings": "Hm"}), *HI),
        "Hi there.",
        (9, 4, "estimated"),
    ),
    Row(
        "arguments-as-an-object",
        lines(
            said(
                delta={"tool_calls": [CALL | {"function": {"name": "add", "arguments": {"a": 1}}}]}
            ),
            said(finish="tool_calls"),
        ),
        "",
        (9, 6, "estimated"),
        shows=(r'"arguments":"{\"a\":1}"',),
    ),
    Row(
        "tool-calls",
        lines(
            said(delta={"tool_calls": [CALL]}),
            said(delta={"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            said(finish="tool_calls"),
        ),
        "",
        (9, 2, "estimated"),
        shows=('"id":"call_1"',),
    ),
    Row(
        "nulls-in-a-delta",
        lines(
            said(
                "Hi there.",
                delta={"tool_calls": None, "function_call": None, "role": None, "audio": None},
            ),
            HI[2],
        ),
        "Hi there.",
        COUNTED,
    ),
    Row(
        "citations",
        lines(*(c | {"citations": ["https://a.test"]} for c in HI)),
        "Hi there.",
        COUNTED,
        shows=("https://a.test",),
    ),
    Row("type-octets", lines(*HI), "Hi there.", COUNTED, media_type="application/octet-stream"),
    Row("type-none", lines(*HI), "Hi there.", COUNTED, media_type=""),
    Row("type-json-but-stream", lines(*HI), "Hi there.", COUNTED, media_type=JSON),
    Row(
        "type-capitals",
        lines(*HI),
        "Hi there.",
        COUNTED,
        media_type="Text/Event-Stream;Charset=UTF-8",
    ),
    Row("whole-for-a-stream", whole(), "Hi there.", FULL, media_type=JSON),
    Row("whole-after-blank-lines", b"\n\n\n" + whole(), "Hi there.", FULL, media_type=JSON),
    Row("whole-error-for-a-stream", orjson.dumps({"error": ERROR}), "502", None, media_type=JSON),
    Row("stream-for-a-whole", lines(*HI, report(used(20, 5, 25))), "Hi there.", FULL, stream=False),
    Row(
        "stream-with-an-error-for-a-whole",
        lines(*HI[:2], {"error": ERROR}),
        "502",
        None,
        stream=False,
    ),
    Row(
        "whole-parts",
        whole([{"type": "text", "text": "Hi there."}], usage=None),
        "Hi there.",
        COUNTED,
        stream=False,
    ),
    Row("whole-half-a-pair", whole().replace(b"there", b"\\ud83d"), "Hi �.", FULL, stream=False),
    Row("whole-no-finish", whole(finish=None), "Hi there.", FULL, stream=False),
    Row("whole-after-newlines", b"\n\n" + whole(), "Hi there.", FULL, stream=False),
]

TEXT = {"id": "Canary", "object": "text_completion", "created": 7, "model": "Canary"}
RESPONSE = {
    "id": "resp_Canary",
    "object": "response",
    "created_at": 7,
    "model": "Canary",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1,
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Hi there.", "annotations": [], "logprobs": []}
            ],
        }
    ],
    "usage": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25} | COST,
} | {"provider": "Canary"}
SAID = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi there.",
    "sequence_number": 7,
    "logprobs": [],
    "host": "Canary",
}
BEGUN = {
    "type": "response.created",
    "sequence_number": 0,
    "response": RESPONSE | {"status": "in_progress", "output": [], "usage": None},
}
ENDED = {"type": "response.completed", "sequence_number": 9, "response": RESPONSE}
FAILED = {"type": "response.failed", "response": RESPONSE | {"status": "failed", "error": ERROR}}
OTHER_ROWS = [
    Row(
        "older-completions",
        lines(
            TEXT | {"choices": [{"index": 0, "text": "Hi there.", "finish_reason": None}]},
            TEXT | {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]},
            TEXT | {"choices": [], "usage": used(20, 5, 25)},
        ),
        "Hi there.",
        FULL,
        endpoint=COMPLETIONS,
    ),
    Row(
        "older-completions-whole",
        orjson.dumps(
            TEXT
            | {"choices": [{"index": 0, "text": "Hi there.", "finish_reason": "stop"}]}
            | {"usage": used(20, 5, 25)}
        ),
        "Hi there.",
        FULL,
        endpoint=COMPLETIONS,
        stream=False,
    ),
    Row(
        "embeddings",
        orjson.dumps(
            {"id": "Canary", "object": "list", "model": "Canary", "provider": "Canary"}
            | {"data": [{"object": "embedding", "index": 0, "embedding": [0.5], "host": "Canary"}]}
            | {"usage": {"prompt_tokens": 20, "total_tokens": 20} | COST}
        ),
        "[0.5]",
        (20, 0, "reported"),
        endpoint=EMBEDDINGS,
        stream=False,
    ),
    Row("responses", lines(BEGUN, SAID, ENDED, done=False), "Hi there.", FULL, endpoint=RESPONSES),
    Row(
        "responses-whole",
        orjson.dumps(RESPONSE),
        "Hi there.",
        FULL,
        endpoint=RESPONSES,
        stream=False,
    ),
    Row(
        "responses-whole-for-a-stream",
        orjson.dumps(RESPONSE),
        "Hi there.",
        FULL,
        endpoint=RESPONSES,
        media_type=JSON,
    ),
    Row(
        "responses-stream-for-a-whole",
        lines(BEGUN, SAID, ENDED, done=False),
        "Hi there.",
        FULL,
        endpoint=RESPONSES,
        stream=False,
    ),
    Row(
        "responses-failed",
        lines(BEGUN, SAID, FAILED, done=False),
        "Hi there., error",
        (20, 5, "reported"),
        endpoint=RESPONSES,
    ),
    Row("responses-failed-at-once", lines(FAILED, done=False), "502", None, endpoint=RESPONSES),
    Row(
        "responses-error-in-the-whole",
        orjson.dumps(RESPONSE | {"error": ERROR}),
        "502",
        None,
        endpoint=RESPONSES,
        stream=False,
    ),
    Row(
        "responses-error-in-the-end",
        lines(BEGUN, SAID, ENDED | {"response": RESPONSE | {"error": ERROR}}, done=False),
        "Hi there., error",
        (20, 5, "reported"),
        endpoint=RESPONSES,
    ),
    Row(
        "responses-error-event",
        lines(BEGUN, SAID, {"type": "error"} | ERROR, done=False),
        "Hi there., error",
        (9, 3, "estimated"),
        endpoint=RESPONSES,
    ),
    Row(
        "responses-pings",
        lines(
            BEGUN,
            "null",
            "[]",
            {"type": "ping", "host": "Canary"},
            {"type": "response.canary", "host": "Canary"},
            SAID,
            ENDED,
        ),
        "Hi there.",
        FULL,
        endpoint=RESPONSES,
    ),
    Row(
        "responses-cut",
        lines(BEGUN, SAID, done=False),
        "Hi there., error",
        (9, 3, "estimated"),
        endpoint=RESPONSES,
    ),
]


USER_ID = {"type": "object", "properties": {"user_id": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "user_id_lookup", "parameters": USER_ID}}


def refusal(
    name: str, status: int, message: str, sees: str, *shows: str, source: str = OURS, **error: Any
) -> Row:
    """An upstream that refuses with these words."""
    body = orjson.dumps({"error": {"message": message} | error})
    return Row(
        f"refusal-{name}",
        body,
        sees,
        None,
        media_type=JSON,
        status=status,
        shows=shows,
        asks={"tools": [TOOL]},
        source=source,
    )


LONG = ("context_length_exceeded", "8192", "9000")
REFUSAL_ROWS = [
    refusal(
        "openai-context",
        400,
        "This model's maximum context length is 8192 tokens. However, "
        "your messages resulted in 9000 tokens. Please reduce the length of the messages.",
        "400",
        *LONG,
        code="context_length_exceeded",
        source="github.com/webtimemachine/wtm2/issues/579, 2024-11-04",
    ),
    refusal(
        "openai-responses-context",
        400,
        "Your input exceeds the context window of this model."
        " Please adjust your input and try again.",
        "400",
        LONG[0],
        source="github.com/earendil-works/pi, packages/ai/src/utils/overflow.ts",
    ),
    refusal(
        "anthropic-context",
        400,
        "prompt is too long: 9000 tokens > 8192 maximum",
        "400",
        *LONG,
        source="github.com/entropy-research/Devon/issues/88, 2024-07-05",
    ),
    refusal(
        "anthropic-both",
        400,
        "input length and `max_tokens` exceed context limit: 9000 + 512"
        " > 8192, decrease input length or `max_tokens` and try again",
        "400",
        *LONG,
        source="github.com/docker/docker-agent/issues/569, 2025-10-21",
    ),
    refusal(
        "gemini-context",
        400,
        "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
        "400",
        *LONG,
        source="github.com/google-gemini/gemini-cli/issues/12098, 2025-10-27",
    ),
    refusal(
        "xai-context",
        400,
        "This model's maximum prompt length is 8192 but the request contains 9000 tokens.",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "moonshot-context",
        400,
        "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "mistral-context",
        400,
        "Prompt contains 9000 tokens and 0 draft tokens, too large for"
        " model with 8192 maximum context length",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "openrouter-context",
        400,
        "This endpoint's maximum context length is 8192 tokens."
        " However, you requested about 9000 tokens (8000 of text input, 1000 in the output).",
        "400",
        *LONG,
        source="github.com/refly-ai/refly/issues/1177, 2025-07-31",
    ),
    refusal(
        "groq-context",
        400,
        "Please reduce the length of the messages or completion.",
        "400",
        LONG[0],
        code="context_length_exceeded",
        source="overflow.ts, as above",
    ),
    refusal(
        "vllm-context",
        400,
        "This model's maximum context length is 8192 tokens. However, you"
        " requested 9000 tokens (8500 in the messages, 500 in the completion).",
        "400",
        *LONG,
        source="github.com/THUDM/LongBench/issues/104, 2025-01-23",
    ),
    refusal(
        "vllm-older-context",
        400,
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
        "400",
        *LONG,
        source="many public logs, such as (length 12324) of 8192",
    ),
    refusal(
        "llamacpp-context",
        400,
        "the request exceeds the available context size (8192 tokens), try increasing it",
        "400",
        *LONG[:2],
        type="exceed_context_size_error",
        source="overflow.ts, as above; its type is llama.cpp's server's",
    ),
    refusal(
        "bedrock-context",
        400,
        "Input is too long for requested model.",
        "400",
        LONG[0],
        source="overflow.ts, as above",
    ),
    refusal(
        "vllm-newer-context",
        400,
        "This model's maximum context length is 8192 tokens. However, you requested 1000 output"
        " tokens and your prompt contains at least 8000 input tokens, for a total of at least"
        " 9000 tokens.",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "sglang-context",
        400,
        "Requested token count exceeds the model's maximum context length of 8192 tokens."
        " You requested a total of 9000 tokens: 8000 tokens from the input messages and 1000"
        " tokens for the completion.",
        "400",
        *LONG,
        source="overflow.ts, as above; the second sentence is SGLang's",
    ),
    refusal(
        "openai-configured-limit",
        400,
        "Input tokens exceed the configured limit of 8192 tokens. Your messages resulted in 9000"
        " tokens. Please reduce the length of the messages.",
        "400",
        *LONG,
        source="github.com/BerriAI/litellm, tests of exception_mapping_utils.py",
    ),
    refusal(
        "together-context",
        400,
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "poolside-context",
        400,
        "Input length 9000 exceeds the maximum allowed input length of 8192 tokens.",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "gateway-input-length",
        400,
        "Input length (9000) exceeds model's maximum context length (8192).",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "copilot-context",
        400,
        "prompt token count of 9000 exceeds the limit of 8192",
        "400",
        *LONG,
        source="overflow.ts, as above",
    ),
    refusal(
        "lmstudio-context",
        400,
        "Trying to keep the first 9000 tokens when context the overflows. However, the model is"
        " loaded with context length of only 8192 tokens, which is not enough.",
        "400",
        *LONG,
        source="github.com/lmstudio-ai/lmstudio-bug-tracker/issues/546, 2025-03-24",
    ),
    refusal(
        "ollama-context",
        400,
        "prompt too long; exceeded max context length by 808 tokens",
        "400",
        LONG[0],
        source="overflow.ts, as above",
    ),
    refusal(
        "minimax-context",
        400,
        "invalid params, context window exceeds limit (2013)",
        "400",
        LONG[0],
        source="overflow.ts, as above",
    ),
    refusal(
        "dashscope-context",
        400,
        "Range of input length should be [1, 8192]",
        "400",
        *LONG[:2],
        source="overflow.ts, as above",
    ),
    refusal(
        "anthropic-bytes",
        413,
        "Request exceeds the maximum size",
        "400",
        LONG[0],
        type="request_too_large",
        source="overflow.ts, as above",
    ),
    refusal(
        "openai-long-message",
        400,
        "Invalid 'messages[1].content': string too long. Expected a string with maximum length"
        " 1048576, but got a string with length 2000000 instead.",
        "400",
        LONG[0],
        code="string_above_max_length",
        param="messages[1].content",
        source="github.com/BerriAI/litellm, exception_mapping_utils.py",
    ),
    refusal(
        "openai-long-label",
        400,
        "Invalid 'metadata.topic': string too long. Expected a string with maximum length 512,"
        " but got a string with length 600 instead.",
        "400",
        "metadata.topic",
        code="string_above_max_length",
        param="metadata.topic",
        source="github.com/BerriAI/litellm, exception_mapping_utils.py: no overflow",
    ),
    refusal(
        "gateway-500-context",
        500,
        "litellm Canary: prompt is too long: 9000 tokens > 8192 maximum",
        "400",
        *LONG,
        source="github.com/entropy-research/Devon/issues/88, 2024-07-05; its status is ours",
    ),
    refusal(
        "groq-tokens-a-minute",
        413,
        "Request too large for model `m` in organization `org_Canary`"
        " on tokens per minute (TPM): Limit 6000, Requested 9000",
        "503",
    ),
    refusal(
        "azure-flagged",
        400,
        "The response was filtered due to the prompt triggering Canary's"
        " content management policy.",
        "400",
        "content_filter",
        code="content_filter",
        source="github.com/BerriAI/litellm, litellm_core_utils/exception_mapping_utils.py",
    ),
    refusal(
        "openrouter-flagged",
        403,
        "Canary requires moderation. Your input was flagged for violence.",
        "400",
        "content_filter",
    ),
    refusal("deepseek-flagged", 400, "Content Exists Risk", "400", "content_filter"),
    refusal(
        "openrouter-tools",
        404,
        "No endpoints found that support tool use. Canary",
        "400",
        "unsupported_parameter",
    ),
    refusal(
        "vllm-tools",
        400,
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "400",
        "unsupported_parameter",
    ),
    refusal(
        "ollama-tools",
        400,
        "registry.canary.ai/library/Canary does not support tools",
        "400",
        "unsupported_parameter",
    ),
    refusal(
        "schema",
        400,
        "Invalid schema for function 'user_id_lookup': In context=('properties',"
        " 'user_id'), 'required' is required to be supplied.",
        "400",
        "user_id_lookup",
        code="invalid_function_parameters",
        param="tools[0].function.parameters",
    ),
    refusal("names-the-upstream", 400, "AcmeCanary at api.canary.com refused: $0.03 a call", "400"),
    refusal("brand", 400, "Anthropic says no, Canary", "400"),
    refusal("key", 401, "Incorrect API key provided: sk-Canary", "503", code="invalid_api_key"),
    refusal(
        "quota", 429, "Canary: you exceeded your current quota", "503", code="insufficient_quota"
    ),
]
ROWS = [*USAGE_ROWS, *FAILURE_ROWS, *SHAPE_ROWS, *OTHER_ROWS, *REFUSAL_ROWS]
