"""What a web process counts of its calls."""

import pytest

from common.figures import REGISTRY
from proxy.serving.figures import VOID
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import Api, Customer
from tokenproxy_site.metrics.web import PROCESS

OF_CALL = {"model": "gpt-4", "provider": "sandbox"}
OF_COMPLETION = {"model": "gpt-4", "field": "completion_tokens"}


class Counted:
    """What figures grew by since this was made, of those that a test has asked about."""

    def __init__(self) -> None:
        self._before = read_all()

    def __call__(self, name: str, **labels: str) -> float:
        sample = (f"tokenproxy_{name}", frozenset(labels.items()))
        return read_all().get(sample, 0) - self._before.get(sample, 0)


def read_all() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
    }


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_call_is_counted_once_and_as_its_receipt_has_it(
    api: Api, alice: Customer, is_stream: bool
) -> None:
    counted = Counted()

    await api.chat(alice, stream=is_stream)
    await api.idle()

    record = await alice.record()
    assert record is not None
    assert counted("calls_total", outcome="completed", **OF_CALL) == 1
    assert counted("credits_charged_total") == record.charged_credits
    assert counted("credits_written_off_total") == 0
    assert counted("tokens_total", **OF_COMPLETION) == record.completion_tokens
    for histogram in ("call_seconds", "first_byte_seconds"):
        assert counted(f"{histogram}_count", model="gpt-4") == 1


async def test_a_call_that_no_upstream_took_is_counted_as_void(api: Api, alice: Customer) -> None:
    counted = Counted()
    async with serve_canned(json_answer(503, {})) as canned:
        await api.send_to(canned.base_url)

        refused = await api.chat(alice)

    assert refused.status_code == 502
    assert counted("calls_total", outcome=VOID, **OF_CALL) == 1


async def test_a_request_that_was_not_admitted_is_no_call(api: Api, alice: Customer) -> None:
    before = {sample for sample in read_all() if sample[0] == "tokenproxy_calls_total"}
    counted = Counted()

    refused = await api.chat(alice, max_tokens=100_000)

    assert refused.status_code == 429
    assert all(counted("calls_total", **dict(labels)) == 0 for _, labels in before)


async def test_a_model_that_customers_invent_is_no_series(api: Api, alice: Customer) -> None:
    await api.chat(alice, "no-such-model")

    assert not any("no-such-model" in str(labels) for _, labels in read_all())


async def test_a_process_tells_of_its_circuits_and_holds(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PROCESS, "runtime", api.runtime)

    told = read_all()

    assert told["tokenproxy_held_credits", frozenset()] == 0
    assert told["tokenproxy_circuit_open", frozenset(OF_CALL.items())] == 0
