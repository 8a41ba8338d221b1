from typing import Any

from sandbox.upstream import counting, words

O200K = counting.encoding("o200k_base")


def test_it_counts_a_message_by_the_published_rule() -> None:
    messages = [{"role": "user", "content": "Hello"}]

    total = counting.count_messages(messages, O200K)

    # 3 for the message, "user" 1, "Hello" 1, 3 to prime the reply.
    assert total == 3 + 1 + 1 + 3


def test_it_counts_a_name_and_one_more() -> None:
    messages = [{"role": "user", "content": "Hello", "name": "Bob"}]

    total = counting.count_messages(messages, O200K)

    assert total == 3 + 1 + 1 + (1 + 1) + 3


def test_it_counts_the_texts_of_parts_and_of_tool_calls() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": " world"}]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]

    total = counting.count_messages(messages, O200K)

    assert total == (3 + 1 + 1 + 1) + (3 + 1 + 1 + 1) + 3


def test_it_matches_the_published_example() -> None:
    # From OpenAI's cookbook, "How to count tokens with tiktoken": 129 for gpt-4, 124 for gpt-4o.
    system = (
        "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English."
    )
    examples = [
        ("example_user", "New synergies will help drive top-line growth."),
        ("example_assistant", "Things working well together will increase revenue."),
        (
            "example_user",
            "Let's circle back when we have more bandwidth to touch base on opportunities for "
            "increased leverage.",
        ),
        (
            "example_assistant",
            "Let's talk later when we're less busy about how to do better.",
        ),
    ]
    last = "This late pivot means we don't have time to boil the ocean for the client deliverable."
    messages = [
        {"role": "system", "content": system},
        *({"role": "system", "name": name, "content": text} for name, text in examples),
        {"role": "user", "content": last},
    ]

    older = counting.count_messages(messages, counting.encoding_for("gpt-4"))
    newer = counting.count_messages(messages, counting.encoding_for("gpt-4o"))

    assert (older, newer) == (129, 124)


def test_it_counts_what_looks_like_a_special_token_as_text() -> None:
    assert counting.count_text("<|endoftext|>", O200K) > 1


def test_every_word_is_one_token_in_both_vocabularies() -> None:
    pieces = words.FIRST_PIECES + words.NEXT_PIECES

    lengths = {
        len(counting.encoding(name).encode_ordinary(piece))
        for name in counting.SHA256
        for piece in pieces
    }

    assert lengths == {1}


def test_an_answer_is_tokenised_as_it_was_made() -> None:
    pieces = words.pieces(seed=123_456, count=500)

    assert counting.split("".join(pieces), O200K) == pieces


def test_the_words_do_not_repeat_before_all_were_used() -> None:
    pieces = words.pieces(seed=98_765, count=len(words.WORDS))

    assert len({piece.strip().lower() for piece in pieces}) == 331
