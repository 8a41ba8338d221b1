"""A key's limits as its programs meet them: statuses, headers, and what GET /v1/key tells."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import ApiKey
from billing.keys.api_keys import (
    end_rotation,
    pause_api_key,
    resume_api_key,
    revoke_api_key,
    rotate_api_key,
)
from billing.ledger.wallets import limit_wallet, wallet_of
from billing.wallet import keys
from billing.wallet.client import WalletClient
from proxy.database import in_database
from proxy.metering.chats import take_apart
from proxy.serving.keys import KeyFacts
from tests.proxy.accounts import limit
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope
from tests.proxy.readers import bound

PROMPT_BOUND = bound(take_apart({"messages": HELLO}, "gpt-4"))
ENDPOINTS = ["/v1/models", "/v1/models/gpt-4", "/v1/credits", "/v1/key"]
# Nobody is called from there: the documentation has these addresses to itself.
ELSEWHERE = "203.0.113.0/24"


async def get_key(api: Api, customer: Customer) -> dict[str, Any]:
    answer = await api.client.get("/v1/key", headers=customer.headers)
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


async def test_it_tells_where_requests_and_tokens_per_minute_stand(
    api: Api, alice: Customer
) -> None:
    await limit(alice, requests_per_minute=10, tokens_per_minute=1_000)

    answer = await api.chat(alice, max_tokens=100)

    taken = PROMPT_BOUND + 100
    assert answer.headers["x-ratelimit-limit-requests"] == "10"
    assert answer.headers["x-ratelimit-remaining-requests"] == "9"
    assert answer.headers["x-ratelimit-limit-tokens"] == "1000"
    assert answer.headers["x-ratelimit-remaining-tokens"] == str(1_000 - taken)
    assert answer.headers["x-ratelimit-reset-tokens"].endswith("s")


async def test_it_refuses_tokens_beyond_a_minutes(api: Api, alice: Customer) -> None:
    await limit(alice, tokens_per_minute=2 * PROMPT_BOUND + 150)

    answers = [await api.chat(alice, max_tokens=PROMPT_BOUND + 150) for _ in range(2)]

    message = assert_envelope(answers[1], code="rate_limit_exceeded")
    assert [answer.status_code for answer in answers] == [200, 429]
    assert "tokens per minute for this API key" in message
    assert 0 < int(answers[1].headers["retry-after"]) <= 60
    assert 0 < int(answers[1].headers["retry-after-ms"]) <= 60_000
    assert int(answers[1].headers["x-ratelimit-remaining-tokens"]) > 0
    assert "x-ratelimit-remaining-requests" in answers[1].headers


async def test_it_says_that_waiting_does_not_help_a_request_that_is_too_large(
    api: Api, alice: Customer
) -> None:
    await limit(alice, tokens_per_minute=PROMPT_BOUND + 99)

    answer = await api.chat(alice, max_tokens=100)

    assert answer.status_code == 429
    assert f"{PROMPT_BOUND + 100} tokens" in assert_envelope(answer, code="rate_limit_exceeded")
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers


async def test_it_clamps_its_own_maximum_to_a_minutes_tokens(api: Api, alice: Customer) -> None:
    await limit(alice, tokens_per_minute=PROMPT_BOUND + 70)

    answer = await api.chat(alice)

    assert answer.headers["x-tokenproxy-max-tokens"] == "70"


async def test_it_limits_all_keys_of_an_account_together(api: Api, alice: Customer) -> None:
    def change() -> None:
        limit_wallet(
            wallet_of(alice.user),
            requests_per_minute=1,
            tokens_per_minute=None,
            concurrent_requests=None,
        )

    await in_database(change)

    answers = [await api.chat(alice, max_tokens=5) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert "all API keys of this account" in assert_envelope(answers[1])
    assert (await get_key(api, alice))["account_limits"]["requests_per_minute"] == 1


@pytest.mark.parametrize(
    ("cap", "words"),
    [("monthly_cap_credits", "It resets at 20"), ("lifetime_cap_credits", "raise the cap")],
)
async def test_it_refuses_what_a_cap_does_not_cover(
    api: Api, alice: Customer, cap: str, words: str
) -> None:
    await limit(alice, **{cap: PROMPT_BOUND + 50})

    answer = await api.chat(alice, max_tokens=51)

    message = assert_envelope(answer, code="insufficient_quota")
    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert words in message
    assert f"{PROMPT_BOUND + 50} of {PROMPT_BOUND + 50} credits are left" in message
    assert (await api.chat(alice, max_tokens=50)).status_code == 200


async def test_a_model_that_is_not_allowed_does_not_exist(api: Api, alice: Customer) -> None:
    await api.sell("gpt-4", "gpt-4o")
    unknown = await api.chat(alice, model="gpt-9")
    await limit(alice, allowed_models=("gpt-4o",))

    refused = await api.chat(alice, model="gpt-4")
    listed = (await api.client.get("/v1/models", headers=alice.headers)).json()["data"]
    described = await api.client.get("/v1/models/gpt-4", headers=alice.headers)
    allowed = await api.client.get("/v1/models/gpt-4o", headers=alice.headers)

    assert refused.status_code == described.status_code == 404
    assert assert_envelope(refused, code="model_not_found") == assert_envelope(unknown).replace(
        "gpt-9", "gpt-4"
    )
    assert_envelope(described, code="model_not_found")
    assert [model["id"] for model in listed] == ["gpt-4o"]
    assert allowed.status_code == 200
    assert (await api.chat(alice, model="gpt-4o", max_tokens=5)).status_code == 200
    assert (await alice.balance()).held_credits == 0


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_network_that_is_not_allowed_is_refused(
    api: Api, alice: Customer, path: str
) -> None:
    await limit(alice, allowed_networks=(ELSEWHERE,))

    answer = await api.client.get(path, headers=alice.headers)
    chat = await api.chat(alice)

    assert answer.status_code == chat.status_code == 401
    assert "(127.0.0.1)" in assert_envelope(answer, code="ip_not_authorized")
    assert_envelope(chat, code="ip_not_authorized")


async def test_a_caller_on_this_machine_does_not_choose_its_address(
    api: Api, alice: Customer
) -> None:
    await limit(alice, allowed_networks=(ELSEWHERE,))

    answer = await api.client.get(
        "/v1/key", headers={**alice.headers, "x-forwarded-for": "203.0.113.5"}
    )

    assert answer.status_code == 401
    assert "(127.0.0.1)" in assert_envelope(answer, code="ip_not_authorized")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/models", 200), ("/v1/models/gpt-4", 200), ("/v1/credits", 503), ("/v1/key", 503)],
)
async def test_only_what_needs_no_figures_is_served_while_redis_is_away(
    api: Api, alice: Customer, path: str, status: int
) -> None:
    present = api.runtime.wallet
    # Nothing listens there.
    api.runtime.wallet = await WalletClient.connect(["redis://127.0.0.1:1/0"] * keys.SHARDS)

    away = await api.client.get(path, headers=alice.headers)
    refused = await api.client.get(path, headers={"authorization": "Bearer tp_live_nobodys"})
    await api.runtime.wallet.close()
    api.runtime.wallet = present
    back = await api.client.get(path, headers=alice.headers)

    assert [answer.status_code for answer in (away, refused, back)] == [status, 401, 200]
    assert status == 200 or assert_envelope(away)


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_changes_of_a_cached_key_take_effect_at_once(
    api: Api, alice: Customer, path: str
) -> None:
    before = await api.client.get(path, headers=alice.headers)
    await limit(alice, allowed_networks=(ELSEWHERE,))
    moved = await api.client.get(path, headers=alice.headers)
    await limit(alice)
    back = await api.client.get(path, headers=alice.headers)
    await in_database(revoke_api_key, alice.key)
    revoked = await api.client.get(path, headers=alice.headers)

    statuses = [answer.status_code for answer in (before, moved, back, revoked)]
    assert statuses == [200, 401, 200, 401]
    assert_envelope(revoked, code="invalid_api_key")


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_pause_binds_the_next_request_of_a_cached_key(
    api: Api, alice: Customer, path: str
) -> None:
    before = [await api.client.get(path, headers=alice.headers), await api.chat(alice)]

    await in_database(pause_api_key, alice.key)

    paused = [await api.chat(alice), await api.client.get(path, headers=alice.headers)]
    assert [answer.status_code for answer in before] == [200, 200]
    assert [answer.status_code for answer in paused] == [403, 403]
    assert all(assert_envelope(each, code="api_key_paused") for each in paused)
    assert paused[0].headers["x-should-retry"] == "false"
    assert (await alice.balance()).held_credits == 0


async def test_a_resumed_key_goes_on(api: Api, alice: Customer) -> None:
    await in_database(pause_api_key, alice.key)
    await in_database(resume_api_key, alice.key)

    assert (await api.chat(alice)).status_code == 200


async def test_what_is_allowed_again_is_served_at_once(api: Api, alice: Customer) -> None:
    await limit(alice, allowed_networks=(ELSEWHERE,))
    elsewhere = await api.chat(alice, max_tokens=5)
    await limit(alice, allowed_models=("gpt-9",))
    another = await api.chat(alice, max_tokens=5)
    await limit(alice)

    served = await api.chat(alice, max_tokens=5)

    assert [a.status_code for a in (elsewhere, another, served)] == [401, 404, 200]


async def test_a_network_that_was_taken_away_meanwhile_stops_a_cached_key(
    api: Api, alice: Customer
) -> None:
    first = await api.chat(alice, max_tokens=5)
    await limit(alice, allowed_networks=(ELSEWHERE,))

    second = await api.chat(alice, max_tokens=5)

    assert (first.status_code, second.status_code) == (200, 401)
    assert_envelope(second, code="ip_not_authorized")


# --- Rotation -----------------------------------------------------------------------------------


async def rotate(customer: Customer, overlap: timedelta) -> Customer:
    key = await in_database(
        ApiKey.objects.select_related("team__person", "created_by").get, pk=customer.key.pk
    )
    secret = await in_database(lambda: rotate_api_key(key, overlap=overlap))
    return Customer(customer.user, key, secret)


async def test_both_secrets_work_while_a_rotation_lasts(api: Api, alice: Customer) -> None:
    await limit(alice, lifetime_cap_credits=3 * (PROMPT_BOUND + 5))
    first = await api.chat(alice, max_tokens=5)
    new = await rotate(alice, timedelta(hours=24))

    answers = [await api.chat(who, max_tokens=5) for who in (alice, new)]

    old_view, new_view = await get_key(api, alice), await get_key(api, new)
    charged = [int(a.headers["x-tokenproxy-credits-charged"]) for a in (first, *answers)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert new_view["spending"]["lifetime"]["used_credits"] == sum(charged)
    assert old_view["hint"] == new_view["hint"] == new.key.hint
    assert old_view["rotation"]["is_old_secret"] is True
    assert new_view["rotation"]["is_old_secret"] is False
    assert new_view["rotation"]["old_hint"] == alice.key.hint


async def test_the_old_secret_stops_when_its_rotation_is_ended(api: Api, alice: Customer) -> None:
    new = await rotate(alice, timedelta(hours=24))
    await api.chat(alice, max_tokens=5)

    await in_database(end_rotation, new.key)

    assert (await api.chat(alice, max_tokens=5)).status_code == 401
    assert (await api.chat(new, max_tokens=5)).status_code == 200
    assert (await get_key(api, new))["rotation"] is None


async def test_the_old_secret_stops_at_its_hour_though_it_is_cached(
    api: Api, alice: Customer
) -> None:
    new = await rotate(alice, timedelta(hours=24))
    facts = await api.runtime.keys.find(await in_database(_old_digest, new.key))

    assert isinstance(facts, KeyFacts)
    assert facts.expires_at is not None
    assert timedelta(hours=23) < facts.expires_at - timezone.now() <= timedelta(hours=24)
    assert facts.api_key_id == alice.key.pk


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(
    api: Api, alice: Customer
) -> None:
    await api.chat(alice, max_tokens=5)

    new = await rotate(alice, timedelta(0))

    assert (await api.chat(alice, max_tokens=5)).status_code == 401
    assert (await api.chat(new, max_tokens=5)).status_code == 200


async def test_revoking_a_key_ends_both_secrets(api: Api, alice: Customer) -> None:
    new = await rotate(alice, timedelta(hours=24))
    await api.chat(alice, max_tokens=5)

    await in_database(revoke_api_key, new.key)

    assert (await api.chat(alice, max_tokens=5)).status_code == 401
    assert (await api.chat(new, max_tokens=5)).status_code == 401


def _old_digest(key: ApiKey) -> str:
    digest = ApiKey.objects.get(pk=key.pk).previous_digest
    assert digest is not None
    return digest


# --- GET /v1/key --------------------------------------------------------------------------------


async def test_it_describes_a_key_to_its_program(api: Api, alice: Customer) -> None:
    expires_at = timezone.now() + timedelta(days=3)
    await limit(
        alice,
        expires_at=expires_at,
        requests_per_minute=30,
        concurrent_requests=4,
        monthly_cap_credits=5_000,
        allowed_models=("gpt-4",),
        allowed_networks=("127.0.0.0/8",),
    )
    answer = await api.chat(alice, max_tokens=5)

    described = await get_key(api, alice)

    charged = int(answer.headers["x-tokenproxy-credits-charged"])
    monthly = described["spending"]["monthly"]
    assert described["hint"] == alice.key.hint
    assert described["name"] == "test"
    assert described["expires_at"] == expires_at.isoformat(timespec="milliseconds")
    assert described["limits"] == {
        "requests_per_minute": 30,
        "tokens_per_minute": 10_000_000,
        "concurrent_requests": 4,
    }
    assert (monthly["cap_credits"], monthly["used_credits"]) == (5_000, charged)
    assert monthly["remaining_credits"] == 5_000 - charged
    assert monthly["resets_at"].endswith("-01T00:00:00.000+00:00")
    assert described["spending"]["lifetime"]["cap_credits"] is None
    assert described["spending"]["lifetime"]["remaining_credits"] is None
    assert described["allowed_models"] == ["gpt-4"]
    assert described["allowed_networks"] == ["127.0.0.0/8"]
    assert described["open_requests"] == 0
    assert described["rotation"] is None


async def test_bobs_key_tells_nothing_of_alices(
    api: Api, alice: Customer, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(lambda: make_customer("bob@example.com", credits=500))
    await api.chat(alice, max_tokens=5)

    described = await get_key(api, bob)

    assert described["spending"]["lifetime"]["used_credits"] == 0
    assert alice.key.hint not in str(described)
