import gzip
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]  # it ships no types

from proxy.errors import VocabularyDamaged
from proxy.metering import encodings
from proxy.metering.encodings import TextCounter, count_text, encoding_for

O200K = encodings.load("o200k_base")
CL100K = encodings.load("cl100k_base")


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_loaded", {})


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_it_has_the_published_pattern_and_special_ids(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_args, **_kwargs: {})

    published = openai_public.ENCODING_CONSTRUCTORS[name]()

    assert encodings._PATTERN[name] == published["pat_str"]
    assert encodings._SPECIAL[name] == published["special_tokens"]


def test_it_counts_as_published() -> None:
    # The examples of OpenAI's cookbook.
    assert CL100K.encode_ordinary("tiktoken is great!") == [83, 1609, 5963, 374, 2294, 0]
    assert count_text("antidisestablishmentarianism", CL100K) == 6
    assert count_text("お誕生日おめでとう", CL100K) == 9
    assert count_text("お誕生日おめでとう", O200K) == 8


@pytest.mark.usefixtures("nothing_loaded")
def test_it_never_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    encodings.warm()

    assert sorted(encodings._loaded) == ["cl100k_base", "o200k_base"]


@pytest.mark.usefixtures("nothing_loaded")
def test_it_refuses_a_changed_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "o200k_base.tiktoken.gz").write_bytes(gzip.compress(b"IQ== 0\n"))
    monkeypatch.setattr(encodings, "_VOCAB", tmp_path)

    with pytest.raises(VocabularyDamaged, match="o200k_base"):
        encodings.load("o200k_base")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("ft:gpt-4:acme::1", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("ft:gpt-4o-mini:acme::1", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5-nano", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("llama-3-70b", "o200k_base"),
    ],
)
def test_it_knows_which_model_uses_which_encoding(model: str, name: str) -> None:
    assert encoding_for(model).name == name


def test_it_knows_whose_tokenizer_it_has() -> None:
    assert all(map(encodings.is_known_model, ["gpt-4", "ft:gpt-4:a::1", "azure/gpt-4o", "o1"]))
    assert not any(map(encodings.is_known_model, ["llama-3", "claude-sonnet", "gpt-oss-120b"]))


def test_it_counts_special_tokens_of_users_as_text() -> None:
    assert count_text("<|endoftext|>", O200K) == 7


@pytest.mark.parametrize("encoding", [O200K, CL100K], ids=["o200k", "cl100k"])
@given(
    pieces=st.lists(
        st.sampled_from(["a", "Bc", "12", "é中", ".", "'s", "/", " ", "  ", " a", "\t", "\r\n"])
        | st.text(st.sampled_from(" \n\u2028\x1c\u00a0a!"), max_size=4),
        max_size=80,
    )
)
def test_it_counts_pieces_as_the_whole(encoding: encodings.Encoding, pieces: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "TAIL_CHARS", 8)
        counter = TextCounter(encoding)
        for piece in pieces:
            counter.add(piece)

    assert counter.total() == len(encoding.encode_ordinary("".join(pieces)))


@pytest.mark.parametrize("encoding", [O200K, CL100K], ids=["o200k", "cl100k"])
def test_a_count_on_the_way_changes_nothing_and_counts_only_what_is_new(
    encoding: encodings.Encoding,
) -> None:
    text = "In 2,024 words, the quick brown fox  jumps;\n\n ’tis   so. 中文 " * 50
    counter = TextCounter(encoding)

    for at in range(0, len(text), 7):
        counter.add(text[at : at + 7])
        assert counter.total() == len(encoding.encode_ordinary(text[: at + 7]))
        assert counter._chars <= 40


def test_it_counts_long_prose_exactly_in_slices() -> None:
    text = "In 2,024 words, the quick brown fox  jumps;\n\n" * 10_000

    assert len(text) > 4 * encodings.SLICE_CHARS
    assert count_text(text, O200K) == len(O200K.encode_ordinary(text))


def test_it_counts_long_text_without_spaces_within_a_token_per_slice() -> None:
    text = "中文字符测试一下" * 40_000

    assert abs(count_text(text, O200K) - len(O200K.encode_ordinary(text))) <= len(text) // 100_000


def test_it_forgets_what_it_has_counted() -> None:
    counter = TextCounter(O200K)

    for _ in range(50_000):
        counter.add("hello world ")

    assert counter._chars <= 2 * encodings.TAIL_CHARS
    assert counter.total() == len(O200K.encode_ordinary("hello world " * 50_000))
