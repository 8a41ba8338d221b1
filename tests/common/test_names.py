"""Names keep to themselves."""

import pytest

from common.names import clean_name


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Nightly \t job\n", "Nightly job"),
        ("exe.\u202egpj", "exe.gpj"),
        ("\u2067a\u2069b\u200f", "ab"),
        ("\u202e", ""),
        ("مفتاح", "مفتاح"),
        ("👩\u200d💻 laptop", "👩\u200d💻 laptop"),
    ],
)
def test_a_name_turns_nothing_around(typed: str, kept: str) -> None:
    assert clean_name(typed) == kept
