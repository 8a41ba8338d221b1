"""A hold is a true bound: hostile files, texts that templates and tokenizers make longer."""

import json
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import ContextUnknown
from proxy.metering import bounds, chats, inputs, items
from proxy.metering.bounds import Reader, bound_by_size, bound_exactly, bound_prompt
from proxy.metering.encodings import count_text, load
from proxy.metering.functions import Described, most_beside
from proxy.metering.known_models import find_context
from proxy.metering.prompt import Prompt
from tests.proxy.hostile_files import gif, jpeg, pdf, svg, url, webp
from tests.proxy.readers import bound, reader_of

CONTEXT = 128_000
TEMPLATE = bounds.TEMPLATE_PER_PROMPT + bounds.TEMPLATE_PER_MESSAGE
STRANGER = "llama-3"


def chat(*content: Any, model: str = "gpt-4o", **body: Any) -> Prompt:
    messages = [{"role": "user", "content": text} for text in content]
    return chats.take_apart({"messages": messages, **body}, model)


IMAGES = {
    "gif": url("image/gif", gif(2_000, 4_000)),
    "gif of many frames": url("image/gif", gif(2_000, 2_000, frames=500)),
    "jpeg": url("image/jpeg", jpeg(2_000, 4_000)),
    "webp": url("image/webp", webp(2_000, 4_000)),
    "svg": url("image/svg+xml", svg()),
    "no image": url("image/png", b"?"),
    "elsewhere": "https://example.com/cat.png",
}
FILES: dict[str, dict[str, Any]] = {
    "pdf": {"type": "file", "file": {"file_data": url("application/pdf", pdf(1_000))}},
    "sound": {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
}


def image(address: str, detail: str = "auto") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address, "detail": detail}}


@pytest.mark.parametrize("part", FILES.values(), ids=FILES)
@pytest.mark.parametrize("model", ["gpt-4o", STRANGER])
def test_it_holds_the_context_for_a_document(part: dict[str, Any], model: str) -> None:
    prompt = chat([part], model=model)

    assert bound(prompt, context_tokens=CONTEXT) == CONTEXT


def test_it_holds_the_context_for_a_file_of_a_response() -> None:
    part = {"type": "input_file", "file_data": url("application/pdf", pdf(1_000))}
    body = {"input": [{"role": "user", "content": [part]}]}

    assert bound(items.take_apart(body, "gpt-4o"), context_tokens=CONTEXT) == CONTEXT


@pytest.mark.parametrize("address", IMAGES.values(), ids=IMAGES)
def test_it_holds_the_most_that_a_model_sees_whatever_an_image_tells(address: str) -> None:
    without = bound(chat([]))

    # One token more: the margin of each part.
    assert bound(chat([image(address)])) == without + 1 + 85 + 8 * 170


@pytest.mark.parametrize("address", IMAGES.values(), ids=IMAGES)
def test_it_holds_the_context_for_an_image_without_rules(address: str) -> None:
    prompt = chat([image(address)], model="llava")
    original = chat([image(address, "original")], model="gpt-5")

    assert bound(prompt, context_tokens=CONTEXT) == CONTEXT
    assert bound(original, context_tokens=CONTEXT) == CONTEXT


@pytest.mark.parametrize("part", [*FILES.values(), image(IMAGES["gif"])])
def test_it_refuses_a_file_for_a_model_of_which_nobody_said_how_much_it_reads(
    part: dict[str, Any],
) -> None:
    with pytest.raises(ContextUnknown, match=r"'llava' .* \(context_tokens\)"):
        bound(chat([part], model="llava"), context_tokens=None)


def test_it_counts_no_more_of_a_document_than_can_be_read() -> None:
    part = {"type": "file", "file": {"file_data": "A" * 1_000_000}}
    prompt = chat([part])

    assert prompt.count() > CONTEXT
    assert reader_of("gpt-4o", context_tokens=CONTEXT).within(prompt.count(), prompt) == CONTEXT


def test_it_holds_a_stranger_to_its_bytes() -> None:
    # 2,000 bytes of content, 4 of the role, two more of each as JSON, the published rules.
    assert bound(chat("я" * 1000, model=STRANGER)) == 2000 + 4 + 2 * 2 + 6 + 20 + TEMPLATE


def test_it_holds_no_more_than_the_context() -> None:
    for model in ("gpt-4o", STRANGER):
        prompt = chat("word " * 300_000, model=model)

        assert bound(prompt, context_tokens=CONTEXT) == CONTEXT


def test_each_input_is_within_the_context() -> None:
    prompt = inputs.take_apart_embedding({"input": ["x" * 900, "y" * 900]}, "bge-large")

    assert bound(prompt, context_tokens=512) == 2 * 512


def test_it_holds_the_ratio_that_staff_chose() -> None:
    prompt = chat("x" * 10_000, model=STRANGER)

    held = bound_prompt(prompt, reader_of(STRANGER, tokens_per_100_bytes=40))

    # Of 10,004 bytes, and two more of the text and of the role as JSON.
    assert held == -(-10_008 * 40 // 100) + 6 + 20 + TEMPLATE


def test_a_ratio_changes_nothing_where_we_have_the_tokenizer() -> None:
    prompt = chat("x" * 10_000)

    assert bound_prompt(prompt, reader_of("gpt-4o", tokens_per_100_bytes=1)) == bound(prompt)


@pytest.mark.parametrize(
    ("public", "upstreams", "is_exact"),
    [
        ("gpt-4o", ["gpt-4o"], True),
        ("best", ["openai/gpt-4o", "gpt-4.1"], True),
        # The public name says nothing about who reads it.
        ("gpt-4o", ["llama-3"], False),
        ("gpt-4o", ["gpt-4o", "llama-3"], False),
        # The count would be that of another vocabulary.
        ("gpt-4", ["gpt-4o"], False),
        ("text-embedding-004", ["text-embedding-004"], False),
    ],
)
def test_it_counts_by_the_tokenizers_of_all_routes(
    public: str, upstreams: list[str], *, is_exact: bool
) -> None:
    reader = reader_of(public, *upstreams)
    prompt = chat("word " * 1_000, model=public)

    assert reader.has_tokenizer is is_exact
    assert (bound_prompt(prompt, reader) < 2_000) is is_exact


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4", 8_192),
        ("gpt-4-0613", 8_192),
        ("openai/gpt-4o-2024-08-06", 128_000),
        ("ft:gpt-4o-mini:acme::1", 128_000),
        # Later models may read more than the ones that they are named after.
        ("gpt-4-vision", None),
        ("gpt-5.9", None),
        ("gpt-4o-audio-preview", None),
        (STRANGER, None),
    ],
)
def test_it_knows_the_contexts_of_openai_by_name(model: str, tokens: int | None) -> None:
    assert find_context(model) == tokens


def test_a_context_is_the_largest_of_the_routes_unless_staff_say_otherwise() -> None:
    assert Reader.of("best", ["gpt-4", "gpt-4o"]).context_tokens == 128_000
    assert Reader.of("best", ["gpt-4", STRANGER]).context_tokens is None
    assert Reader.of("best", ["gpt-4"], context_tokens=9).context_tokens == 9


# What a template or a tokenizer that we don't have may make of a text.
REWRITTEN = {
    "in form C": lambda text: unicodedata.normalize("NFC", text),
    "in form KC": lambda text: unicodedata.normalize("NFKC", text),
    "as JSON": lambda text: orjson.dumps(text).decode(),
    "with a space": lambda text: f" {text}",
}
LONGER = [
    "\ufdfa" * 5_000,
    "\U0001d160" * 3_000,
    '"\n' * 2_000,
    "\x01" * 1_000,
    "\u00e9\u0323" * 5_000,
]


@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN)
@pytest.mark.parametrize("text", LONGER, ids=range(len(LONGER)))
def test_it_holds_for_what_others_make_of_a_text(text: str, rewrite: Any) -> None:
    assert bound(chat(text, model=STRANGER)) >= len(rewrite(text).encode())


@given(text=st.text(max_size=200))
@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN)
def test_it_holds_for_what_others_make_of_any_text(rewrite: Any, text: str) -> None:
    rewritten = rewrite(text)

    assert bound(chat(text, model=STRANGER)) >= len(rewritten.encode("utf-8", "surrogatepass"))


def test_it_holds_for_tools_that_a_template_indents() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(30):
        schema = {"type": "object", "properties": {"a": schema, "b": [1, 2, 3]}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]

    held = bound(chat("Hi", model=STRANGER, tools=tools))

    assert held >= len(orjson.dumps(tools)) + 3_000
    assert held >= len(_indented(tools))


LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "object"]) | st.lists(st.text(max_size=2)),
            "description": LEAVES,
            "enum": st.lists(LEAVES, max_size=30),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.just("object"),
            "properties": st.dictionaries(st.text(max_size=2), inner | LEAVES, max_size=6),
            "items": inner,
            "$defs": st.dictionaries(st.text(max_size=2), inner, max_size=2),
            "anyOf": st.lists(inner | LEAVES, max_size=3),
        },
    ),
    max_leaves=12,
)
FUNCTIONS = st.fixed_dictionaries(
    {"name": st.text(max_size=3)},
    optional={"description": st.text(max_size=3), "parameters": SCHEMAS, "format": SCHEMAS},
)


@example(
    functions=[{"name": "f", "parameters": {"properties": {"digit": {"enum": [*range(10)] * 9}}}}]
)
@given(functions=st.lists(FUNCTIONS, min_size=1, max_size=4))
def test_it_holds_for_a_token_of_each_byte_that_the_rule_counts_of_functions(
    functions: list[dict[str, Any]],
) -> None:
    # The shortest form that there is: `functions`, without what is around a tool.
    described = Described(functions, "gpt-4")
    most = sum(len(text.encode()) for text in described.texts) + described.overhead
    tools_json = orjson.dumps(functions).decode()

    assert most <= len(tools_json.encode()) + most_beside(tools_json)


@pytest.mark.parametrize("times", [1_000, 20_000])
def test_it_counts_what_json_makes_longer_whatever_the_size(times: int) -> None:
    # Ten bytes; and one more for each quotation mark, line end, comma and colon.
    text = 'a, "b": c\n'

    longer = bound(chat(text * times, model=STRANGER)) - bound(chat(text, model=STRANGER))

    assert longer == (10 + 5) * (times - 1)


def test_it_holds_for_a_call_that_a_template_writes_anew() -> None:
    arguments = "[" + ",".join("1" * 500) + "]"
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    body = {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}

    held = bound(chats.take_apart(body, STRANGER))

    assert held >= len(arguments.replace(",", ", ")) + bounds.TEMPLATE_PER_CALL


def _indented(value: Any) -> bytes:
    return json.dumps(value, indent=4, ensure_ascii=False).encode()


LETTERS = "aZ09 \n\t.,:;\"'\\éßñабвЯ漢字かな한글عربيहिन्दी😀👩\u200d🚀\u0301\ufdfa"
SCRIPTS = st.text(st.sampled_from(LETTERS), max_size=300)


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
@given(texts=st.lists(SCRIPTS, min_size=1, max_size=3))
def test_bytes_are_never_fewer_than_tokens(encoding: str, texts: list[str]) -> None:
    # As an upstream counts whose tokenizer we happen to have, but do not ask.
    told = sum(3 + 1 + count_text(text, load(encoding)) for text in texts) + 3

    assert told <= bound(chat(*texts, model=STRANGER))
    for model in ("gpt-4", "gpt-4o"):
        prompt, reader = chat(*texts, model=model), reader_of(model)
        assert bound_exactly(prompt, reader) <= bound_by_size(prompt, reader)
