import json
import time
from itertools import pairwise
from typing import Any, NoReturn

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import InvalidRequest, PayloadTooLarge
from proxy.parsing import jsonbody
from proxy.parsing.jsonbody import MAX_CONTAINERS, MAX_STRINGS, OUTLINED_BYTES, SMALL_BYTES, Outline


def reference(body: bytes) -> dict[str, Any]:
    """Parse as slowly and strictly as can be: the same language by other means."""

    def refuse(literal: str) -> NoReturn:
        raise ValueError(literal)

    def integer(literal: str) -> int:
        if not -(2**63) <= int(literal) < 2**64:
            raise ValueError(literal)
        return int(literal)

    def number(literal: str) -> float:
        if abs(float(literal)) == float("inf"):
            raise ValueError(literal)
        return float(literal)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError(pairs)
        return dict(pairs)

    value = json.loads(
        body.decode("utf-8"),
        object_pairs_hook=unique,
        parse_constant=refuse,
        parse_int=integer,
        parse_float=number,
    )
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    if not isinstance(value, dict):
        raise ValueError(value)
    return value


def agree(body: bytes) -> None:
    try:
        expected = reference(body)
    except ValueError:
        with pytest.raises(InvalidRequest):
            jsonbody.parse(body)
    else:
        assert jsonbody.parse(body) == expected


TEXT = st.text(st.sampled_from('ab:"\\/{}[], é\n😀'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_it_agrees_with_a_strict_parser_on_json(
    value: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    agree(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8"))


@given(st.lists(st.tuples(TEXT, VALUES), max_size=5), st.sampled_from([":", " :", "\t: ", "\n:"]))
def test_it_agrees_with_a_strict_parser_on_duplicate_keys(
    pairs: list[tuple[str, Any]], colon: str
) -> None:
    body = ",".join(json.dumps(key) + colon + json.dumps(value) for key, value in pairs)

    agree(b'{"outer": [{' + body.encode() + b"}]}")


@given(st.lists(st.sampled_from(list(r'{}[]:,"\ab1.-e')) | st.sampled_from(['"a"', '"a":', "1"])))
def test_it_agrees_with_a_strict_parser_on_fragments(pieces: list[str]) -> None:
    agree("".join(pieces).encode())
    agree(('{"x":' + "".join(pieces) + "}").encode())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":1} x', "unexpected content after document"),
        (b'{"a":NaN}', "line 1, column 6"),
        (b'{"a":1e999}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b"[1]", "must be an object"),
        (b'{"a":18446744073709551616}', "exceeds 64 bits"),
        (b'{"a":-9223372036854775809}', "exceeds 64 bits"),
        (b'{"a":' + b"9" * 300 + b"}", "exceeds 64 bits"),
        (b'{"model":"a","model":"b"}', "`model` twice"),
        (b'{"m":"a:b","x":[{"k" :1,"\\u006b":2}]}', "`k` twice"),
        (b'{"n":' + b"1" * 19 + b',"n":2}', "`n` twice"),
    ],
)
def test_it_says_what_is_wrong(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as refusal:
        jsonbody.parse(body)

    assert refusal.value.status == 400
    assert refusal.value.code == "invalid_json"


@pytest.mark.parametrize(
    "key",
    [r"a\"", r"a\\", r"a\\\"", r"\":", ":", r"\\", r"\u003a"],
)
@pytest.mark.parametrize("space", ["", " ", "\t\r\n "])
def test_it_finds_a_key_that_stands_twice_however_it_is_written(key: str, space: str) -> None:
    pair = f'"{key}"{space}:{space}'

    assert jsonbody.parse(f'{{{pair}"{key}"}}'.encode()) == json.loads(f'{{{pair}"{key}"}}')
    with pytest.raises(InvalidRequest, match="twice"):
        jsonbody.parse(f'{{{pair}1,{pair}"{key}"}}'.encode())


@pytest.mark.parametrize("size", [SMALL_BYTES, OUTLINED_BYTES, 2 * OUTLINED_BYTES])
def test_it_counts_objects_and_arrays_in_a_body_of_any_size(size: int) -> None:
    body = b'{"x":"%b","y":[%b]}'
    fitting = (MAX_CONTAINERS - 2) * b"[],"

    many = body % (b"a" * (size - len(fitting)), fitting[:-1])
    too_many = body % (b"a" * (size - len(fitting)), b"[]," + fitting[:-1])

    assert len(jsonbody.parse(many)["y"]) == MAX_CONTAINERS - 2
    with pytest.raises(InvalidRequest, match="20,000 objects and arrays") as refusal:
        jsonbody.parse(too_many)
    assert refusal.value.code == "body_too_complex"


@pytest.mark.parametrize("at", [0, 150_000, 300_000])
def test_it_counts_strings_however_a_body_is_cut(at: int) -> None:
    # The key is a string, too.
    many = b'{"x":[%b]}' % b",".join([b'""'] * (MAX_STRINGS - 1))
    too_many = many.replace(b"[", b'["",')
    within, beyond = Outline(many[:at]), Outline(too_many[:at])

    within.add(many[at:])
    with pytest.raises(InvalidRequest, match="100,000 strings") as refusal:
        beyond.add(too_many[at:])

    assert refusal.value.code == "body_too_complex"


@given(st.binary(max_size=40).map(lambda text: text.replace(b'"', b"\\")), st.integers(0, 40))
def test_an_outline_has_the_same_structure_however_its_body_is_cut(text: bytes, at: int) -> None:
    body = b'{"a\\\\":"%b\\\\","b\\"":[1,"\\""]}' % text
    whole, parts = Outline(body), Outline()

    parts.add(body[:at])
    parts.add(body[at:])

    # A string that is cut has its quotes in one part or none.
    assert parts.text().replace(b'"', b"") == whole.text().replace(b'"', b"")


@given(
    st.lists(st.text(st.sampled_from('\\"\n\u00e9,:[{a'), max_size=8), min_size=1),
    st.booleans(),
    st.lists(st.integers(0, 200), max_size=4),
)
@example(["\\", '"', '\\"', '\\\\"', "\n\\"], False, [3, 4, 5])
def test_an_outline_is_what_is_left_when_each_string_is_empty(
    strings: list[str], is_ascii: bool, cuts: list[int]
) -> None:
    body = json.dumps({"x": [*strings, 1]}, ensure_ascii=is_ascii).encode()
    outline = Outline()

    for start, end in pairwise(sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})):
        outline.add(body[start:end])

    emptied = json.dumps({"": [*("" for _ in strings), 1]})
    assert outline.text().replace(b'"', b"") == emptied.encode().replace(b'"', b"")


def test_it_names_the_duplicate_key() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        jsonbody.parse(b'{"messages":[],"messages":[]}')

    assert refusal.value.param == "messages"


def test_it_keeps_numbers_that_only_look_too_long() -> None:
    body = b'{"a":18446744073709551615,"b":1e30,"c":"18446744073709551616","d":1.%s1}' % (b"0" * 21)

    assert jsonbody.parse(body) == {
        "a": 2**64 - 1,
        "b": 1e30,
        "c": "18446744073709551616",
        "d": 1.0,
    }


@pytest.mark.parametrize(
    "literal",
    [
        "1." + "1" * 30 + "e19",
        "-1." + "1" * 30 + "E+19",
        "1" * 25 + ".5",
        "1" * 25 + "e3",
        "1e" + "0" * 25 + "20",
        "1e+" + "0" * 25 + "20",
        "0." + "1" * 30,
    ],
)
def test_it_keeps_floats_however_many_digits_they_have(literal: str) -> None:
    # Beside a number so large that it may have been an integer of more than 64 bits.
    body = f'{{"a":1e30,"b":{literal},"c":[-{literal.removeprefix("-")}]}}'

    assert jsonbody.parse(body.encode()) == json.loads(body)


def test_it_refuses_a_body_over_the_limit() -> None:
    assert jsonbody.parse(b'{"a":12}', max_bytes=8) == {"a": 12}

    with pytest.raises(PayloadTooLarge, match="larger than 7 bytes") as refusal:
        jsonbody.parse(b'{"a":12}', max_bytes=7)

    assert refusal.value.status == 413


def test_it_counts_levels() -> None:
    body = b'{"a":[{"b":[1]}]}'

    assert jsonbody.parse(body, max_depth=4) == {"a": [{"b": [1]}]}

    with pytest.raises(InvalidRequest, match="the limit is 3 levels"):
        jsonbody.parse(body, max_depth=3)


@pytest.mark.parametrize("levels", [101, 1_025, 1_000_000])
def test_it_refuses_towers_of_brackets(levels: int) -> None:
    with pytest.raises(InvalidRequest, match=r"nested too deeply|too many elements"):
        jsonbody.parse(b'{"a":' + b"[" * levels + b"]" * levels + b"}")


@pytest.mark.parametrize("unit", [b'\\"', b"\\\\", b":", b"\\u003a", b"{:", b"\\n:"])
def test_it_takes_linear_time_for_hostile_strings(unit: bytes) -> None:
    body = b'{"a":"' + unit * 200_000 + b'","b":1}'

    started = time.process_time()
    parsed = jsonbody.parse(body)

    # A quadratic scan of a megabyte takes minutes; this takes a few milliseconds.
    assert time.process_time() - started < 2
    assert parsed == orjson.loads(body)


def test_it_keeps_what_it_wrote_of_objects_and_arrays() -> None:
    parsed = jsonbody.parse(b'{ "a": [1, {"b": "\xc3\xa9"}], "c": "d", "e": {} }')

    assert parsed.written == {"a": '[1,{"b":"é"}]'.encode(), "e": b"{}"}


def test_it_keeps_nothing_of_a_large_body() -> None:
    body = b'{"a":["' + b"x" * jsonbody.KEPT_BYTES + b'"]}'

    assert jsonbody.parse(body).written == {}


def test_a_field_that_is_sent_otherwise_is_written_anew() -> None:
    parsed = jsonbody.parse(b'{"a":[1],"b":[2],"c":"d"}')
    body = {**parsed, "b": [3], "e": 5}

    assert jsonbody.write(body, parsed, parsed.written) == b'{"a":[1],"b":[3],"c":"d","e":5}'
