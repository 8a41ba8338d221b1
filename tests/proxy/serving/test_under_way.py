"""Staff see what is under way at a provider, in all processes, until a paused one is drained."""

import asyncio
import time
from datetime import timedelta

import orjson
from django.utils import timezone

from accounts.models import User
from proxy.database import in_database
from proxy.models import Provider
from proxy.upstreams import shared
from proxy.upstreams.providers.health_report import ProviderHealth, read_health
from proxy.upstreams.providers.pausing import pause
from tests import desk
from tests.proxy.conftest import Api, Customer, until


async def health(api: Api) -> ProviderHealth:
    await api.runtime.under_way.share()
    [found] = await in_database(read_health)
    return found


async def tell(api: Api, process: str, provider: Provider, count: int, *, ago_s: float) -> None:
    """Tell what another process has under way, the oldest for a minute."""
    at_ms = int((time.time() - ago_s) * 1_000)
    packed = orjson.dumps([at_ms, {str(provider.pk): [count, 60_000]}])
    await api.runtime.upstreams.health.send("HSET", shared.OPEN, process, packed)


async def test_a_paused_provider_drains_as_its_requests_end(api: Api, alice: Customer) -> None:
    await api.sell("gpt-4-5tps")
    asking = asyncio.create_task(api.chat(alice, model="gpt-4-5tps", max_tokens=5))
    await until(lambda: any(call.attempt for call in api.runtime.inflight))
    provider = (await health(api)).provider
    long_ago = timezone.now() - timedelta(minutes=1)

    await in_database(pause, provider, "It is slow")
    await in_database(lambda: Provider.objects.update(paused_at=long_ago))
    during = await health(api)
    answer = await asking
    await api.idle()
    after = await health(api)

    assert (during.under_way, during.is_draining) == (1, True)
    assert answer.status_code == 200
    assert (after.under_way, after.is_draining) == (0, False)


async def test_a_pause_that_processes_may_not_have_read_is_draining_yet(
    api: Api, alice: Customer
) -> None:
    provider = (await health(api)).provider

    await in_database(pause, provider, "It is slow")

    found = await health(api)
    assert (found.under_way, found.is_draining) == (0, True)


async def test_all_processes_are_added_up_and_a_silent_one_has_died(
    api: Api, alice: Customer
) -> None:
    provider = (await health(api)).provider
    await tell(api, "a", provider, 3, ago_s=0)
    await tell(api, "b", provider, 4, ago_s=2)
    await tell(api, "dead", provider, 100, ago_s=6)

    found = await health(api)

    assert found.under_way == 7
    # The one that told it two seconds ago has the oldest.
    assert 62 <= found.oldest_s < 70


async def test_the_health_page_says_it(api: Api, alice: Customer) -> None:
    provider = (await health(api)).provider
    await tell(api, "a", provider, 1_234, ago_s=0)
    await in_database(pause, provider, "It is slow")

    def page() -> str:
        root = desk.log_in(User.objects.create_superuser("root@example.com"))
        answer = root.get("/admin/proxy/provider/health/")
        return " ".join(answer.content.decode().split())

    text = await in_database(page)
    assert "1,234 requests under way, the oldest for 60 s." in text
    assert "draining" in text
