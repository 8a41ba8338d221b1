"""What a key was refused without a receipt is counted, for staff, by reason."""

import asyncio
import time
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import ApiKey, User
from accounts.secrets import digest_of, make_secret
from billing.keys.api_keys import pause_api_key, revoke_api_key, rotate_api_key
from billing.keys.refusals import Refusal, add_refusals, find_refusals
from devstack.ports import free_port
from proxy.database import in_database
from proxy.serving.keys import MAX_UNKNOWN
from proxy.serving.refusals import MOST, Refusals
from tests import desk
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import Api, Customer, assert_envelope


async def told(api: Api, customer: Customer) -> dict[tuple[int, str], int]:
    await api.runtime.refusals.share()
    found = await in_database(lambda: find_refusals(customer.key.team.wallet.pk))
    assert found is not None
    assert {each.refusal.api_key_id for each in found} <= {customer.key.pk}
    return {(each.refusal.status, each.refusal.code): each.count for each in found}


async def test_refusals_are_counted_by_key_status_and_code(api: Api, alice: Customer) -> None:
    for _ in range(2):
        await api.chat(alice, model="no-such-model")
    await api.chat(alice, max_tokens=100_000)
    await api.chat(alice, messages="none")

    assert await told(api, alice) == {
        (404, "model_not_found"): 2,
        (429, "insufficient_quota"): 1,
        (400, "invalid_type"): 1,
    }


@pytest.mark.parametrize("code", ["too_hot", "insufficient_funds_of_acme", "model_not_found"])
async def test_an_upstreams_own_code_is_not_among_ours(
    api: Api, alice: Customer, code: str
) -> None:
    said = {"error": {"message": "Too hot.", "code": code, "type": "invalid_request_error"}}
    async with serve_canned(json_answer(400, said)) as canned:
        await api.send_to(canned.base_url)
        answer = await api.chat(alice)

    assert answer.json()["error"]["code"] == code
    assert await told(api, alice) == {(400, "refused_by_model"): 1}


async def test_a_key_that_has_ended_is_counted_while_it_is_used(api: Api, alice: Customer) -> None:
    assert (await api.chat(alice)).status_code == 200
    await in_database(revoke_api_key, alice.key)

    answers = [await api.chat(alice) for _ in range(3)]

    for answer in answers:
        assert "Incorrect API key" in assert_envelope(answer, code="invalid_api_key")
    assert await told(api, alice) == {(401, "key_revoked"): 3}


@pytest.mark.parametrize("is_known", [True, False], ids=["cached", "new to the process"])
@pytest.mark.parametrize(
    ("column", "code"),
    [("expires_at", "key_expired"), ("previous_expires_at", "secret_rotated")],
)
async def test_so_is_one_that_expired_and_a_secret_whose_rotation_is_over(
    column: str, code: str, is_known: bool, api: Api, alice: Customer
) -> None:
    if column == "previous_expires_at":
        await in_database(lambda: rotate_api_key(alice.key, overlap=timedelta(hours=1)))
    soon = timezone.now() + timedelta(seconds=0.3 if is_known else 0)
    await in_database(lambda: ApiKey.objects.update(**{column: soon}))
    if is_known:
        await api.runtime.keys.find(digest_of(alice.secret))
        await asyncio.sleep(0.4)

    answer = await api.chat(alice)

    assert answer.status_code == 401
    assert await told(api, alice) == {(401, code): 1}


async def test_a_key_whose_maker_is_gone_is_counted(api: Api, alice: Customer) -> None:
    await in_database(lambda: User.objects.update(is_active=False))

    await api.chat(alice)

    assert await told(api, alice) == {(401, "maker_or_team_gone"): 1}


async def test_a_paused_key_is_counted(api: Api, alice: Customer) -> None:
    await in_database(pause_api_key, alice.key)

    for _ in range(2):
        await api.chat(alice)

    assert await told(api, alice) == {(403, "api_key_paused"): 2}


async def test_keys_that_nobody_has_leave_nothing_behind(api: Api, alice: Customer) -> None:
    keep = MAX_UNKNOWN // 100
    for _ in range(keep):
        stranger = Customer(alice.user, alice.key, make_secret().text)
        assert (await api.chat(stranger)).status_code == 401

    assert api.runtime.refusals._counts == {}
    assert await told(api, alice) == {}


async def test_staff_and_owner_see_the_use_of_a_revoked_key(
    api: Api, alice: Customer, client: Client
) -> None:
    await in_database(revoke_api_key, alice.key)
    for _ in range(2):
        await api.chat(alice)
    await api.runtime.refusals.share()

    def pages() -> list[str]:
        root = desk.log_in(User.objects.create_superuser("root@example.com"))
        client.force_login(alice.user)
        urls = desk.page_url(alice.key.team.wallet), desk.page_url(alice.key)
        at_desk = [root.get(url).content.decode() for url in urls]
        return [*at_desk, client.get("/dashboard/keys/").content.decode()]

    wallet, key, dashboard = await in_database(pages)
    assert "<td>the key is revoked</td>" in wallet
    assert "2 × 401 the key is revoked, last" in key
    assert "Still in use somewhere: 2 requests refused in 7 days" in dashboard


async def test_what_was_served_or_failed_is_not_counted(api: Api, alice: Customer) -> None:
    await api.sell("fault-500", "fault-401")
    for model in ("gpt-4", "fault-500", "fault-401"):
        await api.chat(alice, model=model)

    assert await told(api, alice) == {}


async def test_staff_see_them_on_the_customers_page(api: Api, alice: Customer) -> None:
    await api.chat(alice, model="no-such-model")
    await api.runtime.refusals.share()

    def page() -> str:
        root: Client = desk.log_in(User.objects.create_superuser("root@example.com"))
        return root.get(desk.page_url(alice.key.team.wallet)).content.decode()

    shown = await in_database(page)
    assert "model_not_found" in shown
    assert alice.key.name in shown


async def test_redis_away_costs_the_counts_and_nothing_else(
    api: Api, alice: Customer, settings: Settings
) -> None:
    there = settings.CELERY_BROKER_URL
    await api.chat(alice, model="no-such-model")
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{free_port()}/1"
    await api.runtime.refusals.share()
    nothing = await in_database(lambda: find_refusals(alice.key.team.wallet.pk))

    settings.CELERY_BROKER_URL = there
    assert nothing is None
    assert (await api.chat(alice)).status_code == 200
    assert await told(api, alice) == {}


@pytest.mark.parametrize("processes", [1, 2])
def test_counts_of_processes_and_days_add_up(processes: int) -> None:
    wallet_id, now = 10**9 + processes, int(time.time())
    refusal = Refusal(wallet_id, 7, 429, "rate_limit_exceeded")

    for _ in range(processes):
        add_refusals({refusal: (3, now - 86_400)})
        add_refusals({refusal: (2, now)})
    add_refusals({refusal: (100, now - 9 * 86_400)})

    [found] = find_refusals(wallet_id) or []
    assert (found.refusal, found.count) == (refusal, 5 * processes)
    assert int(found.last_at.timestamp()) == now


class Key:
    """What is used of a key."""

    def __init__(self, api_key_id: int) -> None:
        self.wallet_id, self.api_key_id = 1, api_key_id


def test_a_flood_is_kept_within_bounds() -> None:
    refusals = Refusals()

    for number in range(MOST + 100):
        refusals.note(Key(number), status=400, code="a")  # type: ignore[arg-type]
    refusals.note(Key(0), status=400, code="a")  # type: ignore[arg-type]

    assert len(refusals._counts) == MOST
    assert refusals._counts[Refusal(1, 0, 400, "a")][0] == 2


def test_a_code_of_strange_shape_is_one_of_the_others() -> None:
    refusals = Refusals()

    for code in ("A", "a b", "x" * 41, "", "a:b"):
        refusals.note(Key(1), status=400, code=code)  # type: ignore[arg-type]

    assert list(refusals._counts) == [Refusal(1, 1, 400, "other")]
