"""A member's caps as the programs with their keys meet them: refusals, GET /v1/key, estimates."""

from dataclasses import dataclass
from typing import Any

import pytest

from accounts.models import ApiKey, Membership, Role
from accounts.teams.members import own_seat
from billing.audit.books import audit
from billing.keys.api_keys import issue_api_key, leave_keys_to_team
from billing.teams.members import remove_member, set_member_caps
from billing.upkeep.drain import drain
from billing.upkeep.recovery import close_all, recover
from proxy.database import in_database
from proxy.metering.chats import take_apart
from tests.conftest import person
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope
from tests.proxy.readers import bound
from tests.teams import join

PROMPT_BOUND = bound(take_apart({"messages": HELLO}, "gpt-4"))
EACH = PROMPT_BOUND + 50
CAPS = ("lifetime_cap_credits", "monthly_cap_credits")
NONE = dict.fromkeys(CAPS)


@dataclass
class Member:
    """Bob, whom Alice's team let make two keys."""

    owner: Membership
    keys: list[Customer]

    async def cap(self, **caps: int | None) -> None:
        """Have the owner set Bob's caps."""
        user = self.keys[0].user
        await in_database(lambda: set_member_caps(self.owner, user, **(NONE | caps)))


@pytest.fixture
async def bob(api: Api, alice: Customer) -> Member:
    def make() -> Member:
        owner, user = own_seat(alice.user), person("bob")
        seat = join(owner.team, user, Role.DEVELOPER)
        made = [issue_api_key(seat, name=name) for name in ("one", "two")]
        return Member(owner, [Customer(user, *each) for each in made])

    return await in_database(make)


async def get_key(api: Api, customer: Customer) -> dict[str, Any]:
    answer = await api.client.get("/v1/key", headers=customer.headers)
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


@pytest.mark.parametrize(
    ("cap", "words"),
    [("lifetime_cap_credits", "can raise the cap"), ("monthly_cap_credits", "It resets at 20")],
)
async def test_it_refuses_what_a_members_cap_does_not_cover(
    api: Api, alice: Customer, bob: Member, cap: str, words: str
) -> None:
    one, two = bob.keys
    await bob.cap(**{cap: EACH})

    refused = await api.chat(one, max_tokens=51)
    served = await api.chat(one, max_tokens=50)
    another = await api.chat(two, max_tokens=50)

    message = assert_envelope(refused, code="insufficient_quota")
    assert [answer.status_code for answer in (refused, served, another)] == [429, 200, 429]
    assert refused.headers["x-should-retry"] == "false"
    assert "spending cap of the member who made this API key" in message
    assert f"{EACH:,} of {EACH:,} credits are left" in message
    assert words in message
    assert "admin of the team" in message
    # It is Bob's alone.
    assert (await api.chat(alice, max_tokens=100)).status_code == 200


@pytest.mark.parametrize("cap", CAPS)
async def test_a_changed_cap_binds_the_next_request(api: Api, bob: Member, cap: str) -> None:
    one, two = bob.keys
    # Each key is known to the process, without a cap.
    statuses = [(await api.chat(key, max_tokens=5)).status_code for key in (one, two)]
    for credits in (1, 10_000, 0, None):
        await bob.cap(**{cap: credits})
        statuses += [(await api.chat(key, max_tokens=5)).status_code for key in (one, two)]

    assert statuses == [200, 200, 429, 429, 200, 200, 429, 429, 200, 200]
    await in_database(drain)
    assert await in_database(lambda: audit(at_rest=True)) == []


async def test_a_default_maximum_is_clamped_to_a_members_cap(api: Api, bob: Member) -> None:
    await bob.cap(lifetime_cap_credits=EACH)

    answer = await api.chat(bob.keys[0])

    assert answer.status_code == 200
    assert answer.headers["x-tokenproxy-max-tokens"] == "50"


async def test_a_cap_that_was_reached_is_reached_after_a_rebuild(api: Api, bob: Member) -> None:
    one, two = bob.keys
    used = [int((await api.chat(key)).headers["x-tokenproxy-credits-charged"]) for key in bob.keys]
    await bob.cap(lifetime_cap_credits=sum(used))
    before = await api.chat(one, max_tokens=5)
    await in_database(drain)

    await in_database(close_all)
    await in_database(lambda: recover(grace_s=0))

    assert (before.status_code, (await api.chat(two, max_tokens=5)).status_code) == (429, 429)


async def test_it_describes_a_members_caps_to_their_programs(api: Api, bob: Member) -> None:
    one, two = bob.keys
    uncapped = await get_key(api, one)
    answer = await api.chat(two, max_tokens=5)
    charged = int(answer.headers["x-tokenproxy-credits-charged"])
    await bob.cap(monthly_cap_credits=1_000)

    described = await get_key(api, one)

    monthly = described["member_spending"]["monthly"]
    assert uncapped["member_spending"] is None
    assert (monthly["cap_credits"], monthly["remaining_credits"]) == (1_000, 1_000 - charged)
    assert monthly["resets_at"] == described["spending"]["monthly"]["resets_at"]
    assert described["member_spending"]["lifetime"] == {
        "cap_credits": None,
        "used_credits": charged,
        "held_credits": 0,
        "remaining_credits": None,
    }
    assert described["spending"]["lifetime"]["used_credits"] == 0


async def test_an_estimate_says_what_a_request_would_be_told(api: Api, bob: Member) -> None:
    one, _ = bob.keys
    await bob.cap(lifetime_cap_credits=EACH)
    body = {"model": "gpt-4", "messages": HELLO}

    async def estimate(**options: int) -> dict[str, Any]:
        answer = await api.client.post(
            "/v1/estimate", json={**body, **options}, headers=one.headers
        )
        found: dict[str, Any] = answer.json()
        return found

    dear, open_ended = await estimate(max_tokens=51), await estimate()

    refused = await api.chat(one, max_tokens=51)
    assert dear["refusal"] == refused.json()["error"]
    assert (dear["available_credits"], open_ended["affordable_max_tokens"]) == (EACH, 50)


async def test_a_key_that_its_maker_left_behind_has_no_members_cap(api: Api, bob: Member) -> None:
    one, _ = bob.keys
    await bob.cap(lifetime_cap_credits=0)
    before = await api.chat(one, max_tokens=5)

    await in_database(lambda: leave_keys_to_team(ApiKey.objects.filter(pk=one.key.pk)))

    assert (before.status_code, (await api.chat(one, max_tokens=5)).status_code) == (429, 200)
    await in_database(drain)
    assert await in_database(lambda: one.key.usage_records.get().member) is None
    assert await in_database(lambda: audit(at_rest=True)) == []


@pytest.mark.parametrize(("keeps_keys", "status"), [(False, 401), (True, 200)])
async def test_a_stream_goes_on_when_its_member_is_removed_and_is_theirs(
    api: Api, bob: Member, keeps_keys: bool, status: int
) -> None:
    one, two = bob.keys
    await api.sell("gpt-4-50tps")
    await bob.cap(lifetime_cap_credits=1_000)
    body = {"model": "gpt-4-50tps", "messages": HELLO, "stream": True}
    async with api.client.stream(
        "POST", "/v1/chat/completions", headers=one.headers, json=body
    ) as response:
        lines = response.aiter_lines()
        first = await anext(lines)

        await in_database(lambda: remove_member(bob.owner, one.user, keeps_keys=keeps_keys))

        after = await api.chat(two, max_tokens=5)
        rest = [line async for line in lines]

    await api.idle()
    await in_database(drain)
    record = await in_database(lambda: one.key.usage_records.select_related("member").get())
    assert first.startswith("data: ")
    assert "data: [DONE]" in rest
    assert after.status_code == status
    assert (record.outcome, record.member) == ("completed", one.user)
    assert record.charged_credits > 0
    assert await in_database(lambda: audit(at_rest=True)) == []
