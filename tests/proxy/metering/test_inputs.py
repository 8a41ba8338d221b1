from typing import Any

import pytest

from proxy.metering.bounds import TEMPLATE_PER_INPUT
from proxy.metering.inputs import take_apart_completion, take_apart_embedding
from tests.proxy.readers import bound

KNOWN = "text-embedding-3-small"


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("Hello there.", 3),
        (["Hello there.", "Hello"], 4),
        ([9906, 1070, 13], 3),
        ([[9906, 1070, 13], [9906]], 4),
    ],
)
async def test_it_counts_what_is_embedded_exactly(value: Any, count: int) -> None:
    prompt = take_apart_embedding({"input": value}, KNOWN)

    assert (prompt.count(), bound(prompt)) == (count, count)


async def test_it_allows_a_stranger_some_tokens_of_its_own_for_each_input() -> None:
    prompt = take_apart_embedding({"input": ["Hello", "Hi"]}, "bge-large")

    assert prompt.count() == 2
    # Each input has two more bytes as JSON.
    assert bound(prompt) == 7 + 2 * 2 + 2 * TEMPLATE_PER_INPUT


async def test_it_counts_both_sides_of_an_insertion() -> None:
    prompt = take_apart_completion({"prompt": "Hello", "suffix": " there"}, "gpt-3.5-turbo")

    assert (prompt.count(), bound(prompt)) == (2, 2 + 3)
