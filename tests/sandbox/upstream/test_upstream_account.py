"""What the emulator tells of an account, as OpenAI, OpenRouter and DeepSeek document it."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.sandbox.upstream.emulator import ADMIN_KEY, API_KEY, Emulator

USAGE, COSTS = "/v1/organization/usage/completions", "/v1/organization/costs"
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
DAY_S = 86_400
SECOND_OF_MARCH = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())


def seed(emulator: Emulator, **fields: object) -> httpx.Response:
    used = {"day": "2026-03-02", "model": "gpt-4o", "input_tokens": 1_000_000, **fields}
    return emulator.client.post("/control/account", json={"used": [used]})


def ask(emulator: Emulator, path: str, **query: object) -> dict[str, Any]:
    asked = {"start_time": SECOND_OF_MARCH, "end_time": SECOND_OF_MARCH + 3 * DAY_S, **query}
    answer = emulator.client.get(path, params=asked, headers=ADMIN)  # type: ignore[arg-type]
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def test_usage_comes_in_buckets_of_a_day_by_the_name_of_the_snapshot(emulator: Emulator) -> None:
    seed(emulator, output_tokens=7, input_cached_tokens=3, num_model_requests=2)

    page = ask(emulator, USAGE, group_by="model", limit=31)

    first, *rest = page["data"]
    assert (first["start_time"], first["end_time"]) == (SECOND_OF_MARCH, SECOND_OF_MARCH + DAY_S)
    assert first["results"] == [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 1_000_000,
            "output_tokens": 7,
            "input_cached_tokens": 3,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "num_model_requests": 2,
            "project_id": None,
            "user_id": None,
            "api_key_id": None,
            "model": "gpt-4o-2024-08-06",
            "batch": None,
            "service_tier": None,
        }
    ]
    assert [bucket["results"] for bucket in rest] == [[], []]
    assert (page["object"], page["has_more"], page["next_page"]) == ("page", False, None)


def test_without_a_grouping_the_model_is_null(emulator: Emulator) -> None:
    seed(emulator)
    seed(emulator, model="gpt-4")

    page = ask(emulator, USAGE)

    [row] = page["data"][0]["results"]
    assert (row["model"], row["input_tokens"]) == (None, 2_000_000)


def test_pages_follow_each_other(emulator: Emulator) -> None:
    first = ask(emulator, USAGE, limit=2)
    second = ask(emulator, USAGE, limit=2, page=first["next_page"])

    starts = [bucket["start_time"] for page in (first, second) for bucket in page["data"]]
    assert starts == [SECOND_OF_MARCH + number * DAY_S for number in range(3)]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_costs_are_told_by_line_item(emulator: Emulator) -> None:
    seed(emulator, output_tokens=1_000_000, input_cached_tokens=500_000)

    page = ask(emulator, COSTS, group_by="line_item")

    rows = page["data"][0]["results"]
    assert {row["line_item"]: row["amount"] for row in rows} == {
        "gpt-4o-2024-08-06, input": {"value": 0.075, "currency": "usd"},
        "gpt-4o-2024-08-06, cached input": {"value": 0.0375, "currency": "usd"},
        "gpt-4o-2024-08-06, output": {"value": 0.6, "currency": "usd"},
    }


def test_what_is_served_is_billed_today(emulator: Emulator) -> None:
    usage = emulator.post("Hello").json()["usage"]
    today = int(datetime.now(UTC).timestamp()) // DAY_S * DAY_S

    page = ask(emulator, USAGE, group_by="model", start_time=today - DAY_S, end_time=today + DAY_S)

    [row] = [row for bucket in page["data"] for row in bucket["results"]]
    assert row["input_tokens"] == usage["prompt_tokens"]
    assert row["output_tokens"] == usage["completion_tokens"]


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        (USAGE, API_KEY, 403),
        (COSTS, API_KEY, 403),
        ("/v1/credits", API_KEY, 403),
        (USAGE, "wrong", 401),
        ("/user/balance", "wrong", 401),
        ("/user/balance", API_KEY, 200),
        ("/v1/credits", ADMIN_KEY, 200),
        ("/v1/models", ADMIN_KEY, 401),
    ],
)
def test_each_address_takes_its_own_key(
    path: str, key: str, status: int, emulator: Emulator
) -> None:
    answer = emulator.client.get(
        path, params={"start_time": "0"}, headers={"authorization": f"Bearer {key}"}
    )

    assert answer.status_code == status


def test_what_is_left_is_what_was_paid_in_without_what_was_used(emulator: Emulator) -> None:
    seed(emulator, output_tokens=1_000_000)

    credits = emulator.client.get("/v1/credits", headers=ADMIN).json()
    balance = emulator.client.get("/user/balance").json()

    assert credits == {"data": {"total_credits": 100.0, "total_usage": 0.75}}
    [purse] = balance["balance_infos"]
    assert (purse["currency"], purse["total_balance"]) == ("USD", "99.25")


@pytest.mark.parametrize(
    "query",
    [{"start_time": "x"}, {"limit": 32}, {"limit": 0}, {"bucket_width": "1h"}, {"page": "page_?"}],
)
def test_a_bad_question_is_a_400(query: dict[str, object], emulator: Emulator) -> None:
    asked = {"start_time": 0, **query}

    answer = emulator.client.get(USAGE, params=asked, headers=ADMIN)  # type: ignore[arg-type]

    assert answer.status_code == 400


def test_a_fault_strikes_here_too(emulator: Emulator) -> None:
    emulator.set_faults({"fault": "429-9", "model": USAGE})

    answer = emulator.client.get(USAGE, params={"start_time": "0"}, headers=ADMIN)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")
