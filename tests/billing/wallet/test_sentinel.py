"""A service of Sentinels: both clients find its primary, and find the next one after a failover."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from kombu import Connection as Broker
from pytest_django import Settings

from billing.audit.books import audit
from billing.exceptions import WalletRecovering
from billing.upkeep.drain import drain
from billing.upkeep.recovery import recover
from billing.wallet.address import AddressPool, MalformedAddress, RedisAddress, beside
from billing.wallet.client import WalletClient
from billing.wallet.commands.figures import Balance
from billing.wallet.connection import CommandRefused, Connection
from billing.wallet.journal import Journal
from billing.wallet.sync_client import SyncWalletClient
from devstack.binaries import find_valkey
from devstack.ports import free_port
from devstack.process import Process
from devstack.valkey import Valkey
from tests.conftest import person
from tests.till import Till, in_a_thread
from tests.waiting import await_true

pytestmark = pytest.mark.django_db(transaction=True)

SENTINEL = """port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor money 127.0.0.1 {primary} 1
sentinel auth-pass money {password}
sentinel down-after-milliseconds money 1000
sentinel failover-timeout money 5000
"""


def password_of(server: Valkey) -> str:
    return server.url.partition("://:")[2].partition("@")[0]


@dataclass
class Service:
    """A primary, its replica, and a Sentinel that watches them."""

    primary: Valkey
    replica: Valkey
    url: str

    def lag(self) -> None:
        """Let the replica learn nothing more."""
        with redis.Redis.from_url(self.replica.url) as client:
            client.config_set("masterauth", "wrong")
            client.execute_command("CLIENT", "KILL", "TYPE", "master")

    def is_promoted(self) -> bool:
        with redis.Redis.from_url(self.replica.url) as client:
            try:
                return bool(client.info("replication")["role"] == "master")
            except redis.ConnectionError:
                # A Sentinel ends all connections of a server that it promotes, this one too.
                return False

    def is_linked(self) -> bool:
        with redis.Redis.from_url(self.replica.url) as client:
            return bool(client.info("replication").get("master_link_status") == "up")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with (
        Valkey(tmp_path / "primary", durable=False) as primary,
        Valkey(tmp_path / "replica", durable=False) as replica,
    ):
        word = password_of(primary)
        with redis.Redis.from_url(replica.url) as client:
            client.config_set("masterauth", word)
            # A Sentinel logs in to both alike.
            client.config_set("requirepass", word)
            (replica.folder / "password").write_text(word)
            client.replicaof("127.0.0.1", primary.port)
        port = free_port()
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(
            SENTINEL.format(port=port, folder=tmp_path, primary=primary.port, password=word)
        )
        process = Process(
            "sentinel",
            [find_valkey(), configuration, "--sentinel"],
            output=tmp_path / "sentinel.log",
        )
        process.start()
        try:
            # The first of these Sentinels is down.
            url = f"sentinel://:{word}@127.0.0.1:1,127.0.0.1:{port}/money/0"
            found = Service(primary, replica, url)
            await_true(found.is_linked, what="the replica")
            await_true(lambda: knows_replica(port), what="the Sentinel")
            yield found
        finally:
            process.stop()


def knows_replica(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return len(client.sentinel_slaves("money")) == 1
        except redis.RedisError:
            return False


@pytest.fixture
def till(
    service: Service, redis_wallets: SyncWalletClient, journal_dir: Path, settings: Settings
) -> Till:
    settings.REDIS_URL = service.url
    settings.REDIS_SHARDS = (service.url,) * 16
    recover(grace_s=0)
    return Till(person("alice"))


def is_recovered() -> bool:
    try:
        in_a_thread(lambda: recover(grace_s=0))
    except WalletRecovering:
        return False
    return True


def test_a_replica_that_lags_takes_over_and_nothing_is_lost_or_spent_twice(
    service: Service, till: Till, journal_dir: Path
) -> None:
    journal = Journal.open(journal_dir)
    till.grant(1_000)
    till.start("before", 100, journal=journal)
    service.lag()
    till.finish("before", 40, journal=journal)
    till.start("open", 200, journal=journal)

    async def place_and_fail_over() -> tuple[object, object]:
        client = await WalletClient.connect([service.url] * 16)
        await client.place(till.hold_request("held", 5))
        await client.void(till.facts("held"))
        service.primary.kill()
        await asyncio.to_thread(await_true, service.is_promoted, what="the failover")
        [closed] = await asyncio.gather(
            client.place(till.hold_request("early", 5)), return_exceptions=True
        )
        await asyncio.to_thread(await_true, is_recovered, what="the rebuild")
        placed = await client.place(till.hold_request("late", 5))
        await client.close()
        return closed, placed

    closed, placed = asyncio.run(place_and_fail_over())

    assert isinstance(closed, WalletRecovering)
    assert placed.held_credits == 5  # type: ignore[attr-defined]
    till.void("late")
    till.reap("before", is_dead=True)
    assert till.balance() == Balance(1_000 - 40 - 200, 200, 1_000 - 40, 0)
    till.finish("open", 10, journal=journal)
    drain()
    journal.close()
    assert audit(at_rest=True) == []
    assert till.balance() == Balance(950, 0, 950, 0)


def test_a_primary_that_was_demoted_is_left_at_once(service: Service) -> None:
    async def ask() -> tuple[bytes, bytes]:
        connection = Connection(service.url, timeout_s=30)
        await connection.command("SET", "x", 1)
        before = await connection.command("CLIENT", "INFO")
        with redis.Redis.from_url(service.primary.url) as client:
            # As a Sentinel does, but without ending the connections.
            client.replicaof("127.0.0.1", service.replica.port)
        with pytest.raises(CommandRefused, match="READONLY"):
            await connection.command("SET", "x", 2)
        after = await connection.command("CLIENT", "INFO")
        await connection.close()
        return before.split()[1], after.split()[1]

    before, after = asyncio.run(ask())

    assert before.startswith(b"addr=")
    assert before != after


def test_a_primary_without_its_replica_takes_no_call_and_is_left(
    service: Service, till: Till, journal_dir: Path
) -> None:
    till.grant(1_000)
    journal = Journal.open(journal_dir)
    with redis.Redis.from_url(service.primary.url) as server:
        server.config_set("min-replicas-to-write", 1)
    service.lag()

    async def place() -> tuple[object, bytes, bytes]:
        client = await WalletClient.connect([service.url] * 16)
        [connection] = set(client._connections)
        before = await connection.command("CLIENT", "INFO")
        [refused] = await asyncio.gather(
            client.place(till.hold_request("lonely", 5)), return_exceptions=True
        )
        after = await connection.command("CLIENT", "INFO")
        await client.close()
        return refused, before.split()[1], after.split()[1]

    refused, before, after = asyncio.run(place())
    with pytest.raises(WalletRecovering):
        till.start("lonely", 5, journal=journal)
    address = RedisAddress.parse(beside(service.url, 1))
    with (
        Broker(address.broker_url(), transport_options=address.broker_options()) as broker,
        # A worker goes on after these, and ends at any other.
        pytest.raises(broker.connection_errors),
    ):
        broker.SimpleQueue("q").put("word")

    journal.close()
    assert isinstance(refused, WalletRecovering)
    assert before != after


def test_the_cache_and_the_broker_ask_the_sentinels_too(service: Service) -> None:
    url = beside(service.url, 1)
    address = RedisAddress.parse(url)

    with redis.Redis.from_pool(AddressPool.from_url(url)) as client:
        client.set("a", 1)
    with Broker(address.broker_url(), transport_options=address.broker_options()) as broker:
        queue = broker.SimpleQueue("q")
        queue.put("word")
        heard = queue.get(timeout=10).payload
        queue.close()

    assert heard == "word"
    assert beside(url, 0) == service.url
    with redis.Redis.from_url(service.primary.broker_url) as client:
        assert client.get("a") == b"1"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sentinel://a:26379", "names no service"),
        ("sentinel://a,b/", "names no service"),
        ("sentinel://,b/money", "names no host"),
        ("sentinel://a:x,b/money", "host or port that is none"),
        ("sentinel://a/money/x", "must name its database by a number"),
        ("sentinel://a/money?ssl_ca_certs=ca.pem", "needs rediss://"),
        ("redis://a/0?sentinel_password=x", "and no Sentinel"),
    ],
)
def test_a_service_that_can_not_be_meant_is_refused(url: str, says: str) -> None:
    with pytest.raises(MalformedAddress, match=says):
        RedisAddress.parse(url)


def test_a_service_is_read_with_its_logins_and_certificates() -> None:
    found = RedisAddress.parse(
        "sentinels://user:p%2Fw@a,b:1/money/3?sentinel_password=s&ssl_ca_certs=ca.pem"
    )

    assert found.sentinels == (("a", 26379), ("b", 1))
    assert (found.service, found.db, found.username, found.password) == ("money", 3, "user", "p/w")
    assert found.sentinel_arguments()["password"] == "s"
    assert found.sentinel_arguments()["ssl_ca_certs"] == "ca.pem"
    assert found.place() == "money of a:26379,b:1/3"
