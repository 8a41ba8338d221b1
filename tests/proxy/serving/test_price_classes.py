"""Token classes on their way from an upstream's figures to a receipt that adds up."""

from billing.audit.books import audit
from billing.catalogue.model_prices import set_price
from billing.ledger.receipts import explain
from billing.models import PublicModel
from proxy.database import in_database
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import Api, Customer

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 10, "audio_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 2},
}
CHOICES = [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]


def price_every_class() -> None:
    set_price(
        PublicModel.objects.get(name="gpt-4"),
        prompt_rate_millicredits=1_000,
        cached_prompt_rate_millicredits=500,
        completion_rate_millicredits=4_000,
        cache_write_rate_millicredits=2_000,
        prompt_audio_rate_millicredits=16_000,
        reasoning_rate_millicredits=5_000,
        completion_audio_rate_millicredits=32_000,
    )


async def test_it_charges_every_class_that_an_upstream_reports(api: Api, alice: Customer) -> None:
    await in_database(price_every_class)
    async with serve_canned(json_answer(200, {"choices": CHOICES, "usage": USAGE})) as canned:
        await api.send_to(canned.base_url)
        response = await api.chat(alice, max_tokens=50)

    record = await alice.record()

    # 65 prompt, 20 cached, 10 written, 5 audio; 28 completion, 10 reasoning, 2 audio.
    cost = 65 + 10 + 20 + 80 + 112 + 50 + 64
    assert response.headers["x-tokenproxy-credits-charged"] == str(cost)
    assert record is not None
    receipt = await in_database(explain, record)
    assert receipt.cost_credits == record.charged_credits == cost == 401
    assert [line.label for line in receipt.lines] == [
        "Prompt",
        "Cached prompt",
        "Prompt written to the cache",
        "Audio in the prompt",
        "Completion",
        "Reasoning",
        "Audio in the answer",
    ]
    assert await in_database(audit) == []
