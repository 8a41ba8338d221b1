"""Counts that are remembered: the same figures as without, of nobody else's texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.metering import counts
from proxy.metering.bounds import bound_by_size, bound_exactly
from proxy.metering.chats import take_apart
from proxy.metering.counts import KnownCounts, count_all
from proxy.metering.encodings import Encoding, count_text, load
from proxy.metering.prompt import Prompt
from tests.proxy.readers import reader_of

LONG = "The cache holds what was counted before, and nothing of the text itself. " * 10


def chat(text: str, described: str) -> Prompt:
    function = {"name": "look", "description": described, "parameters": {"type": "object"}}
    body = {
        "messages": [{"role": "user", "content": text}],
        "tools": [{"type": "function", "function": function}],
    }
    return take_apart(body, "gpt-4o")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that went through the tokenizer."""
    texts: list[str] = []

    def watch(text: str, encoding: Encoding) -> int:
        texts.append(text)
        return count_text(text, encoding)

    monkeypatch.setattr(counts, "count_text", watch)
    return texts


def test_it_counts_a_text_that_comes_again_once(counted: list[str]) -> None:
    known, encoding = KnownCounts(), load("o200k_base")

    first, again = (known.of(1)(encoding, (LONG,)) for _ in range(2))

    assert first == again == count_all(encoding, (LONG,))
    # Once for each: the last one is this test's.
    assert len(counted) == 2


def test_it_counts_a_conversation_and_its_tools_once(counted: list[str]) -> None:
    known, prompt = KnownCounts(), chat(LONG, LONG)
    bound_exactly(prompt, reader_of("gpt-4o"), known.of(1))
    before = [text for text in counted if len(text) > counts.SHORT_CHARS]

    held = bound_exactly(prompt, reader_of("gpt-4o"), known.of(1))
    count = prompt.count(known.of(1))

    # The message, the description of the tool, and the tools as they are sent.
    assert len(before) == 3
    assert [text for text in counted if len(text) > counts.SHORT_CHARS] == before
    assert count == prompt.count() <= held == bound_exactly(prompt, reader_of("gpt-4o"))


@pytest.mark.parametrize(
    ("owner", "encoding", "texts"),
    [
        (2, "o200k_base", (LONG + LONG,)),
        (1, "cl100k_base", (LONG + LONG,)),
        (1, "o200k_base", (LONG, LONG)),
        (1, "o200k_base", (LONG + LONG + " ",)),
    ],
)
def test_it_knows_no_other_wallets_encodings_or_texts_counts(
    counted: list[str], owner: int, encoding: str, texts: tuple[str, ...]
) -> None:
    known = KnownCounts()
    known.of(1)(load("o200k_base"), (LONG + LONG,))
    del counted[:]

    count = known.of(owner)(load(encoding), texts)

    assert counted == list(texts)
    assert count == count_all(load(encoding), texts)


def test_it_forgets_the_count_that_was_not_used_for_longest(counted: list[str]) -> None:
    known, encoding = KnownCounts(most=2), load("o200k_base")
    texts = [f"{number} {LONG}" for number in range(3)]
    for text in [texts[0], texts[1], texts[0], texts[2]]:
        known.of(1)(encoding, (text,))
    del counted[:]

    for text in [texts[0], texts[1]]:
        known.of(1)(encoding, (text,))

    assert counted == [texts[1]]
    assert len(known) == 2


def test_it_keeps_nothing_of_a_text() -> None:
    known = KnownCounts()

    known.of(1)(load("o200k_base"), (LONG,))

    assert LONG[:20] not in repr(vars(known))
    assert len(known) == 1


@given(st.lists(st.text(), max_size=5), st.integers(0, 400))
def test_it_counts_whatever_is_sent_as_the_tokenizer_does(texts: list[str], longer: int) -> None:
    known, encoding = KnownCounts(), load("cl100k_base")
    texts = [f"{text}{' <|endoftext|> ﷺ🏴󠁧󠁢󠁥󠁮󠁧󠁿' * (longer // 20)}" for text in texts]

    found = [known.of(1)(encoding, tuple(texts)) for _ in range(2)]

    assert found == [sum(len(encoding.encode_ordinary(text)) for text in texts)] * 2


@given(st.text(), st.text())
def test_no_prompt_has_more_tokens_than_its_size_says(text: str, described: str) -> None:
    prompt = chat(text, described)
    reader = reader_of("gpt-4o")

    assert prompt.count() <= bound_exactly(prompt, reader) <= bound_by_size(prompt, reader)
