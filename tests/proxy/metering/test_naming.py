import orjson
import pytest

from proxy.metering.naming import PublicName


@pytest.mark.parametrize(
    "written",
    [b'"model":"gpt-4-0613"', b'"model": "gpt-4-0613"', b'"model" :\n"meta\\/llama"'],
)
def test_it_writes_the_public_name_and_leaves_every_other_byte(written: bytes) -> None:
    name = PublicName("gpt-4")
    chunks = [b'data: {"id": "c" ,' + written + b',"choices":[%d]}\n\n' % i for i in range(3)]

    renamed = [name.write_chunk(chunk) for chunk in chunks]

    assert renamed == [chunk.replace(written, b'"model":"gpt-4"') for chunk in chunks]


def test_it_takes_what_the_answer_says_for_text() -> None:
    said = orjson.dumps({"content": '{"model":"gpt-4-0613"}'})

    assert PublicName("gpt-4").write_chunk(said) == said
    assert PublicName("gpt-4").write_object(said) == said


def test_it_leaves_a_name_that_is_the_public_one() -> None:
    answer = b'{"model":"gpt-4", "x": 1}'

    assert PublicName("gpt-4").write_object(answer) is answer


def test_it_leaves_the_clients_own_fields_of_that_name() -> None:
    answer = {"model": "gpt-4-0613", "metadata": {"model": "T"}, "tools": [{"model": "x"}]}

    whole = PublicName("gpt-4").write_object(orjson.dumps(answer))
    part = PublicName("gpt-4").write_object(orjson.dumps({"response": answer}), "response")

    assert orjson.loads(whole) == answer | {"model": "gpt-4"}
    assert orjson.loads(part) == {"response": answer | {"model": "gpt-4"}}
