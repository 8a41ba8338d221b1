from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ImpossibleUsage
from proxy.metering.usage import Source, Usage, check_usage

COUNT: st.SearchStrategy[Any] = (
    st.integers(-2, 12)
    | st.booleans()
    | st.none()
    | st.floats(0, 9)
    | st.sampled_from(["8", [], {}])
)
ANY_USAGE = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "prompt_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens"]), COUNT),
        "completion_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), COUNT),
    },
)


def usage(prompt: Any = 10, completion: Any = 5, **details: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {
            name: value for name, value in details.items() if "cach" in name or "image" in name
        },
        "completion_tokens_details": {
            name: value for name, value in details.items() if "reasoning" in name
        },
    }


def test_it_reads_every_class() -> None:
    raw = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {
            "cached_tokens": 40,
            "cache_write_tokens": 30,
            "audio_tokens": 20,
            "image_tokens": 10,
        },
        "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": 8},
    }

    assert check_usage(raw, max_completion_tokens=50) == Usage(
        prompt_tokens=100,
        completion_tokens=50,
        cached_tokens=40,
        cache_write_tokens=30,
        prompt_audio_tokens=20,
        prompt_image_tokens=10,
        reasoning_tokens=32,
        completion_audio_tokens=8,
        source=Source.REPORTED,
    )


def test_it_keeps_an_explicit_zero() -> None:
    checked = check_usage(usage(0, 0), max_completion_tokens=10)

    assert (checked.prompt_tokens, checked.completion_tokens, checked.source) == (0, 0, "reported")


def test_it_takes_absent_and_null_details_for_zero() -> None:
    raw = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": None}

    assert check_usage(raw, max_completion_tokens=None) == Usage(1, 2)
    assert check_usage(usage(1, 2, cached_tokens=None), max_completion_tokens=2) == Usage(1, 2)


def test_it_needs_no_completion_where_none_was_possible() -> None:
    raw = {"prompt_tokens": 8, "total_tokens": 8}

    assert check_usage(raw, max_completion_tokens=0) == Usage(8, 0)
    with pytest.raises(ImpossibleUsage, match="completion_tokens is missing"):
        check_usage(raw, max_completion_tokens=1)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (usage(-1), "prompt_tokens is -1"),
        (usage(10, -5), "completion_tokens is -5"),
        (usage("10"), "prompt_tokens is not an integer"),
        (usage(10.5), "prompt_tokens is not an integer"),
        (usage(True), "prompt_tokens is not an integer"),
        (usage(None), "prompt_tokens is missing"),
        (usage(10**9 + 1), "prompt_tokens is 1000000001"),
        (usage(cached_tokens=11), "cached and cache-write tokens exceed the prompt"),
        (usage(cached_tokens=-1), "cached_tokens is -1"),
        (usage(image_tokens=11), "image_tokens exceeds"),
        (usage(cached_tokens=6, cache_write_tokens=5), "cached and cache-write tokens exceed"),
        (usage(reasoning_tokens=6), "reasoning_tokens exceeds completion_tokens"),
        (usage(reasoning_tokens=False), "reasoning_tokens is not an integer"),
        (usage(10, 21), "completion_tokens is 21, above the maximum of 20"),
        (usage() | {"prompt_tokens_details": [1]}, "prompt_tokens_details is not an object"),
        ({}, "prompt_tokens is missing"),
        ("12", "usage is not an object"),
    ],
)
def test_it_refuses_what_can_not_be(raw: object, reason: str) -> None:
    with pytest.raises(ImpossibleUsage, match=reason) as refusal:
        check_usage(raw, max_completion_tokens=20)

    assert refusal.value.raw is raw


@given(ANY_USAGE)
def test_what_it_accepts_is_possible(raw: dict[str, Any]) -> None:
    try:
        checked = check_usage(raw, max_completion_tokens=8)
    except ImpossibleUsage:
        return

    assert type(checked.prompt_tokens) is int
    assert checked.prompt_tokens == raw["prompt_tokens"]
    assert checked.completion_tokens == raw["completion_tokens"]
    assert 0 <= checked.cached_tokens + checked.cache_write_tokens <= checked.prompt_tokens
    assert 0 <= checked.reasoning_tokens <= checked.completion_tokens <= 8


@given(st.integers(0, 50), st.integers(0, 50), st.data())
def test_it_reads_what_it_writes(prompt: int, completion: int, data: st.DataObject) -> None:
    written = Usage(
        prompt,
        completion,
        cached_tokens=data.draw(st.integers(0, prompt)),
        reasoning_tokens=data.draw(st.integers(0, completion)),
    )

    assert check_usage(written.as_openai(), max_completion_tokens=completion) == written
