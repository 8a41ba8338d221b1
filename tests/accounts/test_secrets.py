"""The secrets of API keys: whatever somebody sends instead of one is refused, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from accounts.secrets import ALPHABET, LENGTH, PREFIX, is_well_formed, make_secret

ANY_TEXT = st.text(st.characters(), max_size=2 * LENGTH)
SECRET_LIKE = st.text(ALPHABET, max_size=LENGTH).map(lambda end: PREFIX + end)


def test_every_new_secret_is_well_formed_and_no_two_are_the_same() -> None:
    texts = [make_secret().text for _ in range(1_000)]

    assert all(map(is_well_formed, texts))
    assert len(set(texts)) == 1_000


@given(st.one_of(ANY_TEXT, SECRET_LIKE))
def test_what_was_not_made_here_is_not_well_formed(text: str) -> None:
    assert not is_well_formed(text)


@given(at=st.integers(0, LENGTH - 1), other=st.sampled_from(ALPHABET))
def test_a_secret_with_one_wrong_character_is_not_well_formed(at: int, other: str) -> None:
    text = make_secret().text
    wrong = text[:at] + other + text[at + 1 :]

    assert is_well_formed(wrong) == (wrong == text)


@given(at=st.integers(0, LENGTH - 1))
def test_a_secret_that_was_cut_or_grew_is_not_well_formed(at: int) -> None:
    text = make_secret().text

    assert not is_well_formed(text[:at])
    assert not is_well_formed(text[:at] + "x" + text[at:])
