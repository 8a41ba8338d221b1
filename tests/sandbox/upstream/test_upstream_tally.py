import subprocess
import sys
import time

import httpx
import pytest

from tests.sandbox.upstream.emulator import API_KEY, ROOT, Emulator, body, texts

USAGE = {"stream_options": {"include_usage": True}}


def test_it_sums_what_it_served(emulator: Emulator) -> None:
    emulator.post("say 20 words")
    emulator.stream("say 30 words", model="gpt-4.1", **USAGE)
    emulator.post(model="fault-500")

    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert totals["received"] == 3
    assert (totals["accepted"], totals["completed"], totals["refused"]) == (2, 2, 1)
    assert totals["prompt_tokens"] == totals["prompt_tokens_reported"] == 11 + 11
    assert totals["completion_tokens_generated"] == 20 + 30
    assert totals["completion_tokens_delivered"] == 20 + 30
    assert (totals["usage_reports"], totals["completion_tokens_reported"]) == (2, 20 + 30)


def test_it_sums_per_model(emulator: Emulator) -> None:
    emulator.post("say 20 words")
    emulator.post("say 30 words", model="gpt-4.1")

    models = emulator.client.get("/control/tally").json()["models"]

    delivered = {name: row["completion_tokens_delivered"] for name, row in models.items()}
    assert delivered == {"gpt-4o": 20, "gpt-4.1": 30}


def test_it_sums_per_request_id_over_retries(emulator: Emulator) -> None:
    for model in ("fault-500", "gpt-4o"):
        emulator.client.post(
            "/v1/chat/completions",
            json=body("say 20 words", model=model),
            headers={"x-client-request-id": "req_1", "x-request-id": "req_other"},
        )
    emulator.post("say 30 words")

    mine = emulator.client.get("/control/tally", params={"request_id": "req_1"}).json()

    assert [record["status"] for record in mine["requests"]] == [500, 200]
    assert mine["totals"]["received"] == 2
    assert mine["totals"]["accepted"] == 1
    assert mine["totals"]["completion_tokens_delivered"] == 20


def test_it_takes_x_request_id_where_there_is_no_other(emulator: Emulator) -> None:
    emulator.client.post("/v1/chat/completions", json=body("Hi"), headers={"x-request-id": "req_2"})

    assert emulator.requests()[0]["request_id"] == "req_2"


def test_an_unknown_request_id_sums_to_nothing(emulator: Emulator) -> None:
    summary = emulator.client.get("/control/tally", params={"request_id": "req_x"}).json()

    assert summary["requests"] == []
    assert summary["totals"]["received"] == 0


def test_it_keeps_parameters_but_no_messages(emulator: Emulator) -> None:
    emulator.post("A secret", max_tokens=9, temperature=0.7)

    [record] = emulator.requests()

    assert record["parameters"] == {"model": "gpt-4o", "max_tokens": 9, "temperature": 0.7}


def test_requests_are_paged(emulator: Emulator) -> None:
    for _ in range(5):
        emulator.post()

    first = emulator.requests(limit=2)
    second = emulator.requests(limit=2, after=first[-1]["number"])
    third = emulator.requests(limit=2, after=second[-1]["number"])

    assert [len(page) for page in (first, second, third)] == [2, 2, 1]
    numbers = [record["number"] for record in first + second + third]
    assert numbers == sorted(set(numbers))
    assert emulator.requests(after=numbers[-1]) == []


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=10001", "limit="])
def test_a_wrong_page_is_refused(emulator: Emulator, query: str) -> None:
    assert emulator.client.get(f"/control/requests?{query}").status_code == 400


def test_a_stream_stops_when_the_client_hangs_up(emulator: Emulator) -> None:
    events = []
    for event, _ in emulator.timed_stream("say 5000 words [[tps=100]]", **USAGE):
        events.append(event)
        if len(texts(events)) == 5:
            break
    left_at = time.monotonic()

    totals = emulator.wait_for(lambda totals: totals["cut_by_client"] == 1)

    assert time.monotonic() - left_at < 0.5
    # The tokens of the moments until the hang-up arrived may still have been written.
    assert 5 <= totals["completion_tokens_delivered"] <= 30
    assert totals["usage_reports"] == 0
    [record] = emulator.requests()
    assert record["left_at_chunk"] == 1 + record["completion_tokens_delivered"]


def test_what_was_read_byte_by_byte_counts_as_delivered(emulator: Emulator) -> None:
    events = []
    for event, _ in emulator.timed_stream("say 1000 words", model="fault-byte-chunks"):
        events.append(event)
        if len(texts(events)) == 5:
            break

    totals = emulator.wait_for(lambda totals: totals["cut_by_client"] == 1)

    assert 5 <= totals["completion_tokens_delivered"] < 1000


def test_a_stream_at_full_speed_stops_when_the_client_hangs_up(emulator: Emulator) -> None:
    for _ in emulator.timed_stream("say 100000 words"):
        break

    totals = emulator.wait_for(lambda totals: totals["cut_by_client"] == 1)

    assert totals["completion_tokens_generated"] < 100_000


def test_a_json_answer_stops_when_the_client_hangs_up(emulator: Emulator) -> None:
    with pytest.raises(httpx.ReadTimeout):
        emulator.client.post(
            "/v1/chat/completions", json=body("say 500 words [[tps=50]]"), timeout=0.3
        )
    left_at = time.monotonic()

    totals = emulator.wait_for(lambda totals: totals["cut_by_client"] == 1)

    assert time.monotonic() - left_at < 0.5
    assert totals["completion_tokens_delivered"] == 0
    assert 10 <= totals["completion_tokens_generated"] < 100


def test_a_hang_up_is_noticed_under_a_large_body(emulator: Emulator) -> None:
    with pytest.raises(httpx.ReadTimeout):
        emulator.client.post(
            "/v1/chat/completions",
            json=body("word " * 60_000 + "[[tokens=500]] [[tps=50]]"),
            timeout=1,
        )

    assert emulator.wait_for(lambda totals: totals["cut_by_client"] == 1)["open"] == 0


def test_a_hang_up_during_a_slow_first_byte_is_noticed(emulator: Emulator) -> None:
    with pytest.raises(httpx.ReadTimeout):
        emulator.client.post(
            "/v1/chat/completions", json=body("Hi", model="fault-slow-first-byte-60"), timeout=0.2
        )

    totals = emulator.wait_for(lambda totals: totals["cut_by_client"] == 1)
    assert (totals["accepted"], totals["completion_tokens_generated"]) == (1, 0)


def test_a_reset_forgets_everything(emulator: Emulator) -> None:
    emulator.post(model="fault-flaky-1")
    emulator.set_faults({"fault": "503"})

    emulator.client.post("/control/reset")

    assert emulator.tally()["received"] == 0
    assert emulator.requests() == []
    assert emulator.post(model="fault-flaky-1").status_code == 500
    assert emulator.post().status_code == 200


def test_the_overview_shows_the_sums_and_escapes_names(emulator: Emulator) -> None:
    emulator.post("say 20 words", model="<script>_1")

    page = emulator.client.get("/control/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "&lt;script&gt;_1" in page.text
    assert "<script>" not in page.text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--port", "0"], "--api-key"),
        (["--api-key", API_KEY], "--port"),
        (["--port", "70000", "--api-key", API_KEY], "0 to 65535"),
        (["--port", "0", "--api-key", ""], "printable ASCII"),
        (["--port", "0", "--api-key", API_KEY, "--tokens-per-second", "-1"], "0 or more"),
        (["--port", "0", "--api-key", API_KEY, "--tokens-per-second", "nan"], "0 or more"),
        (["--port", "0", "--api-key", API_KEY, "--workers", "2"], "must be 1"),
    ],
)
def test_it_refuses_to_start_with_wrong_options(options: list[str], problem: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sandbox.upstream", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 2
    assert problem in result.stderr


def test_it_says_which_port_is_taken(emulator: Emulator) -> None:
    port = emulator.url.rpartition(":")[2]

    result = subprocess.run(
        [sys.executable, "-m", "sandbox.upstream", "--port", port, "--api-key", API_KEY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 1
    assert f"can't listen on 127.0.0.1:{port}" in result.stderr
