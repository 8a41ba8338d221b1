from typing import Any

import openai
import orjson
import pytest

from tests.conformance.specification import problems
from tests.sandbox.upstream.emulator import API_KEY, Emulator, read_stream

PATH = "/v1/responses"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
LOGPROBS = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}


def respond(emulator: Emulator, said: Any = "say 5 words", **fields: Any) -> dict[str, Any]:
    response = emulator.client.post(PATH, json={"model": "gpt-4o", "input": said, **fields})
    assert response.status_code == 200, response.text
    assert problems("Response", response.json()) == []
    answer: dict[str, Any] = response.json()
    return answer


def test_it_answers_in_json_with_usage(emulator: Emulator) -> None:
    answer = respond(emulator)

    [message] = answer["output"]
    assert len(message["content"][0]["text"].split()) == 5
    assert answer["status"] == "completed"
    usage = answer["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (11, 5, 16)


def test_the_sdk_streams_a_response(emulator: Emulator) -> None:
    with openai.OpenAI(base_url=emulator.url + "/v1", api_key=API_KEY) as client:
        stream = client.responses.create(model="gpt-4o", input="say 5 words", stream=True)
        events = list(stream)

    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert len(events[-1].response.output_text.split()) == 5


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        (
            {},
            [
                "output_item.added",
                "content_part.added",
                "output_text.delta",
                "output_text.done",
                "content_part.done",
                "output_item.done",
            ],
        ),
        (
            {"tools": [WEATHER], "tool_choice": "required"},
            [
                "output_item.added",
                "function_call_arguments.delta",
                "function_call_arguments.done",
                "output_item.done",
            ],
        ),
        (
            {"tools": [{"type": "custom", "name": "write"}]},
            [
                "output_item.added",
                "custom_tool_call_input.delta",
                "custom_tool_call_input.done",
                "output_item.done",
            ],
        ),
        (
            {"model": "gpt-5", "reasoning": {"summary": "auto"}, "max_output_tokens": 32},
            [
                "output_item.added",
                "reasoning_summary_part.added",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.done",
                "reasoning_summary_part.done",
                "output_item.done",
                "output_item.added",
                "content_part.added",
                "output_text.done",
                "content_part.done",
                "output_item.done",
            ],
        ),
        (LOGPROBS, None),
    ],
)
def test_events_follow_the_specification(
    emulator: Emulator, fields: dict[str, Any], kinds: list[str] | None
) -> None:
    events = read_stream(emulator, PATH, {"model": "gpt-4o", "input": "say 5 words", **fields})

    assert [p for event in events for p in problems("ResponseStreamEvent", event)] == []
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [event["type"].removeprefix("response.") for event in events]
    assert names[:2] == ["created", "in_progress"]
    assert names[-1] == ("incomplete" if "max_output_tokens" in fields else "completed")
    once = [name for name, before in zip(names, ["", *names], strict=False) if name != before]
    assert kinds is None or once[2:-1] == kinds


def test_deltas_add_up_to_the_last_event(emulator: Emulator) -> None:
    events = read_stream(emulator, PATH, {"model": "gpt-4o", "input": "say 5 words"})

    text = "".join(event["delta"] for event in events if event["type"].endswith("text.delta"))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == text


def test_each_event_has_its_name_in_a_line_of_its_own(emulator: Emulator) -> None:
    payload = {"model": "gpt-4o", "input": "say 5 words", "stream": True}

    text = emulator.client.post(PATH, json=payload).text

    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    names = [orjson.loads(data.removeprefix("data: "))["type"] for _, data in blocks]
    assert [name.removeprefix("event: ") for name, _ in blocks] == names
    assert "[DONE]" not in text


def test_a_tool_loop_ends_in_words(emulator: Emulator) -> None:
    question = {"role": "user", "content": "How is 'Oslo'?"}
    first = respond(emulator, [question], tools=[WEATHER])
    [call] = first["output"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "Rain"}

    with_items = respond(emulator, [question, call, result], tools=[WEATHER])
    by_id = respond(emulator, [result], tools=[WEATHER], previous_response_id=first["id"])
    reference = {"type": "item_reference", "id": call["id"]}
    by_reference = respond(emulator, [question, reference, result], tools=[WEATHER])

    assert orjson.loads(call["arguments"]) == {"city": "Oslo"}
    answers = [one["output"][0]["content"] for one in (with_items, by_id, by_reference)]
    assert answers[0] == answers[1] == answers[2]


def test_what_is_not_stored_is_not_found(emulator: Emulator) -> None:
    first = respond(emulator, store=False)

    payload = {"model": "gpt-4o", "input": "Hi", "previous_response_id": first["id"]}
    refused = emulator.client.post(PATH, json=payload)

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "previous_response_not_found"


def test_an_answer_fits_its_schema(emulator: Emulator) -> None:
    chosen = {"type": "json_schema", "name": "w", "schema": WEATHER["parameters"]}

    [message] = respond(emulator, "'Oslo'", text={"format": chosen})["output"]

    assert orjson.loads(message["content"][0]["text"]) == {"city": "Oslo"}


def test_instructions_and_parts_are_counted(emulator: Emulator) -> None:
    bare = respond(emulator, "Hi")["usage"]["input_tokens"]
    parts = [
        {"type": "input_text", "text": "Hi"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
    ]

    seen = respond(emulator, [{"role": "user", "content": parts}])["usage"]["input_tokens"]
    told = respond(emulator, "Hi", instructions="Be brief")["usage"]["input_tokens"]

    # 85 for the image; 3 for a message, "developer" 1, "Be brief" 2.
    assert (seen - bare, told - bare) == (85, 3 + 1 + 2)


def test_thoughts_are_an_item_of_their_own(emulator: Emulator) -> None:
    answer = respond(emulator, model="gpt-5", include=["reasoning.encrypted_content"])

    assert [item["type"] for item in answer["output"]] == ["reasoning", "message"]
    assert answer["output"][0]["encrypted_content"]
    assert answer["usage"]["output_tokens_details"]["reasoning_tokens"] == 32
    assert answer["usage"]["output_tokens"] == 32 + 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "robot"}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "input",
        ),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"reasoning": {"summary": "long"}}, "summary"),
    ],
)
def test_it_refuses_what_openai_refuses(
    emulator: Emulator, fields: dict[str, Any], param: str
) -> None:
    refused = emulator.client.post(PATH, json={"model": "gpt-4o", "input": "Hi", **fields})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("failed-event-2", "response.failed"),
        ("error-event-2", "error"),
        ("no-done", "response.output_item.done"),
    ],
)
def test_a_stream_breaks_as_it_is_told(emulator: Emulator, fault: str, last: str) -> None:
    events = read_stream(emulator, PATH, {"model": f"fault-{fault}", "input": "say 5 words"})

    assert events[-1]["type"] == last
    said = [event for event in events if event["type"].endswith("text.delta")]
    assert len(said) == (5 if fault == "no-done" else 2)
    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert totals["usage_reports"] == 0


def test_a_failed_response_says_so_in_json(emulator: Emulator) -> None:
    answer = respond(emulator, model="fault-failed-event")

    assert (answer["status"], answer["output"]) == ("failed", [])
    assert answer["error"]["code"] == "server_error"


def test_usage_can_be_missing(emulator: Emulator) -> None:
    events = read_stream(emulator, PATH, {"model": "fault-no-usage", "input": "say 5 words"})

    assert "usage" not in events[-1]["response"]
    assert "usage" not in respond(emulator, model="fault-no-usage")


def test_no_text_is_kept_in_the_record(emulator: Emulator) -> None:
    respond(emulator, "A secret", instructions="Another")

    [record] = emulator.requests()

    assert record["path"] == PATH
    assert "ecret" not in str(record)
    assert "Another" not in str(record)
