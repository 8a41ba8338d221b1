"""What is read of PostgreSQL for requests that come with one key at the same time."""

import asyncio

import pytest
from django.db.backends.signals import connection_created

from accounts.secrets import digest_of
from proxy.serving.keys import KeyCache
from tests.proxy.conftest import Customer

AT_ONCE = 300


@pytest.mark.parametrize("is_known", [True, False], ids=["a new key", "a key that nobody has"])
async def test_all_that_come_with_it_at_once_share_one_look_up(
    alice: Customer, is_known: bool
) -> None:
    cache = KeyCache()
    digest = digest_of(alice.secret if is_known else "sk-tp-nobody")
    opened = []

    def note(**about: object) -> None:
        opened.append(about["connection"])

    connection_created.connect(note)
    try:
        found = await asyncio.gather(*(cache.find(digest) for _ in range(AT_ONCE)))
    finally:
        connection_created.disconnect(note)

    ids = {facts.api_key_id if facts else None for facts in found}
    assert ids == {alice.key.pk if is_known else None}
    assert len(opened) == 1


async def test_who_leaves_takes_the_look_up_from_nobody(alice: Customer) -> None:
    cache = KeyCache()
    digest = digest_of(alice.secret)
    leaver = asyncio.create_task(cache.find(digest))
    await asyncio.sleep(0)
    others = asyncio.gather(*(cache.find(digest) for _ in range(3)))

    leaver.cancel()

    assert [facts and facts.api_key_id for facts in await others] == [alice.key.pk] * 3
