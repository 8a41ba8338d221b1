import httpx
import pytest

from tests.sandbox.upstream.emulator import SECOND_API_KEY, Emulator, body

SECOND = {"authorization": f"Bearer {SECOND_API_KEY}"}


def status_with_second(emulator: Emulator) -> int:
    return emulator.client.post("/v1/chat/completions", json=body("Hi"), headers=SECOND).status_code


def test_the_record_says_which_key_was_used(emulator: Emulator) -> None:
    emulator.post()
    status_with_second(emulator)

    assert [record["key_number"] for record in emulator.requests()] == [0, 1]


def test_a_key_can_be_switched_off_and_on(emulator: Emulator) -> None:
    emulator.client.post("/control/keys", json={"disabled": [0]}).raise_for_status()
    off = (emulator.post().status_code, status_with_second(emulator))
    emulator.client.post("/control/keys", json={"disabled": []}).raise_for_status()
    on = (emulator.post().status_code, status_with_second(emulator))

    assert off == (401, 200)
    assert on == (200, 200)


def test_a_reset_switches_keys_on(emulator: Emulator) -> None:
    emulator.client.post("/control/keys", json={"disabled": [0, 1]})
    emulator.client.post("/control/reset")

    assert emulator.post().status_code == 200


@pytest.mark.parametrize("payload", [{}, {"disabled": 0}, {"disabled": [2]}, {"disabled": ["0"]}])
def test_a_wrong_switch_changes_nothing(emulator: Emulator, payload: object) -> None:
    refused: httpx.Response = emulator.client.post("/control/keys", json=payload)

    assert refused.status_code == 400
    assert emulator.client.get("/control/keys").json() == {
        "keys": [{"number": 0, "enabled": True}, {"number": 1, "enabled": True}]
    }


def test_a_fault_may_be_for_one_key(emulator: Emulator) -> None:
    emulator.set_faults({"fault": "429-7", "key": 1})

    assert (emulator.post().status_code, status_with_second(emulator)) == (200, 429)


def test_a_quota_error_names_the_organisation(emulator: Emulator) -> None:
    response = emulator.post(model="fault-429-quota")

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (429, "insufficient_quota")
    assert "org-SandboxUpstreamCanary" in error["message"]


def test_a_stream_may_end_without_done(emulator: Emulator) -> None:
    events = emulator.stream("say 3 words", model="fault-no-done")

    assert events[-1]["choices"][0]["finish_reason"] == "stop"
