"""Every client reads a Redis URL in the same way, and what it can't honour it refuses."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import LazySettings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection as Broker
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.exceptions import WalletRecovering
from billing.wallet import keys
from billing.wallet.address import RedisAddress, beside
from billing.wallet.connection import Connection, ConnectionLost
from billing.wallet.sync_client import SyncWalletClient
from devstack.valkey import Valkey
from tests.billing.wallet.tls import Authority, Relay, relayed, server_context
from tokenproxy_site.env import get_redis_url

ROOT = Path(__file__).parents[3]
PRODUCT = ("accounts", "billing", "proxy", "tokenproxy_site")
REFUSED = (ConnectionLost, WalletRecovering, redis.ConnectionError, OperationalError)


def ask_as_the_web_does(url: str) -> None:
    async def ask() -> None:
        connection = Connection(url)
        try:
            assert await connection.command("PING") == b"PONG"
        finally:
            await connection.close()

    asyncio.run(ask())


def ask_as_the_worker_does(url: str) -> None:
    client = SyncWalletClient((url,) * keys.SHARDS, default=url)
    # What is refused once is refused ever after.
    client.redis.set_retry(Retry(NoBackoff(), 0))
    with client.redis, client.node_of(0).reaching():
        assert client.redis.ping()


def ask_as_the_broker_does(url: str) -> None:
    address = RedisAddress.parse(url)
    tls = dict(address.tls) if address.tls is not None else False
    with Broker(address.broker_url(), ssl=tls) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0)
        channel: Any = broker.default_channel
        assert channel.client.ping()


Ask = Callable[[str], None]
CLIENTS = [ask_as_the_web_does, ask_as_the_worker_does, ask_as_the_broker_does]


@pytest.fixture(params=CLIENTS)
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def server(valkey_server: Valkey, authority: Authority) -> Iterator[Relay]:
    pair = authority.vouch_for("server", address="127.0.0.1")
    with relayed(valkey_server.port or 0, tls=server_context(pair)) as relay:
        yield relay


def url_of(valkey: Valkey, relay: Relay, options: str = "", *, host: str = "127.0.0.1") -> str:
    return f"rediss://:{urlsplit(valkey.url).password}@{host}:{relay.port}/0{options}"


def test_a_server_is_known_by_an_authority_of_ones_own(
    ask: Ask, valkey_server: Valkey, server: Relay, authority: Authority
) -> None:
    ask(url_of(valkey_server, server, f"?ssl_ca_certs={authority.certificate}"))

    assert server.let_in


def test_a_server_that_another_authority_vouches_for_is_refused(
    ask: Ask, valkey_server: Valkey, server: Relay, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")

    with pytest.raises(REFUSED):
        ask(url_of(valkey_server, server, f"?ssl_ca_certs={other.certificate}"))

    assert server.let_in == []


def test_a_server_that_nobody_known_vouches_for_is_refused(
    ask: Ask, valkey_server: Valkey, server: Relay
) -> None:
    with pytest.raises(REFUSED):
        ask(url_of(valkey_server, server))

    assert server.let_in == []


def test_a_server_of_another_name_is_refused(
    ask: Ask, valkey_server: Valkey, server: Relay, authority: Authority
) -> None:
    options = f"?ssl_ca_certs={authority.certificate}"

    with pytest.raises(REFUSED):
        ask(url_of(valkey_server, server, options, host="localhost"))
    assert server.let_in == []

    ask(url_of(valkey_server, server, f"{options}&ssl_check_hostname=false", host="localhost"))


def test_whoever_says_so_asks_nobody_who_the_server_is(
    ask: Ask, valkey_server: Valkey, server: Relay
) -> None:
    ask(url_of(valkey_server, server, "?ssl_cert_reqs=none"))

    assert server.let_in


def test_a_client_shows_its_certificate(
    ask: Ask, valkey_server: Valkey, authority: Authority
) -> None:
    pair = authority.vouch_for("server", address="127.0.0.1")
    mine = authority.vouch_for("us")
    own_authority = f"?ssl_ca_certs={authority.certificate}"
    shown = f"{own_authority}&ssl_certfile={mine.certificate}&ssl_keyfile={mine.key}"

    context = server_context(pair, clients=authority)
    with relayed(valkey_server.port or 0, tls=context) as relay:
        with pytest.raises(REFUSED):
            ask(url_of(valkey_server, relay, own_authority))
        assert relay.let_in == []
        ask(url_of(valkey_server, relay, shown))

    assert set(relay.let_in) == {"us"}


def test_an_older_tls_than_is_wanted_is_refused(
    ask: Ask, valkey_server: Valkey, authority: Authority
) -> None:
    context = server_context(authority.vouch_for("server", address="127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    options = f"?ssl_ca_certs={authority.certificate}&ssl_min_version="

    with relayed(valkey_server.port or 0, tls=context) as relay:
        with pytest.raises(REFUSED):
            ask(url_of(valkey_server, relay, f"{options}TLSv1.3"))
        assert relay.let_in == []
        ask(url_of(valkey_server, relay, f"{options}TLSv1.2"))


def test_a_socket_in_the_file_system_is_reached(
    ask: Ask, valkey_server: Valkey, tmp_path: Path
) -> None:
    path = tmp_path / "redis.sock"
    password = urlsplit(valkey_server.url).password

    with relayed(valkey_server.port or 0, path=path) as relay:
        ask(f"unix://:{password}@{path}?db=1")

    assert relay.let_in


def test_a_password_is_what_it_is_written_for(ask: Ask, valkey_server: Valkey) -> None:
    rules = ["on", ">p/a?s#s:%41", "~*", "&*", "+@all"]
    with redis.Redis(
        port=valkey_server.port or 0, password=urlsplit(valkey_server.url).password
    ) as staff:
        staff.execute_command("ACL", "SETUSER", "an@user", *rules)
        try:
            ask(f"redis://an%40user:p%2Fa%3Fs%23s%3A%2541@127.0.0.1:{valkey_server.port}/3")
        finally:
            staff.execute_command("ACL", "DELUSER", "an@user")


def test_the_cache_reads_its_url_as_the_others_do(
    settings: LazySettings, valkey_server: Valkey, server: Relay, authority: Authority
) -> None:
    url = url_of(valkey_server, server, f"?ssl_ca_certs={authority.certificate}")
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": url}}

    cache.set("name", "what it is", timeout=60)

    assert (cache.get("name"), bool(server.let_in)) == ("what it is", True)


# As the processes of a site do, with what they read of their environment.
SITE = """
import asyncio, os, django
django.setup()
from django.conf import settings
from django.core.cache import cache
from billing.wallet.connection import Connection
from billing.wallet.sync_client import get_sync_client
from proxy.upstreams.ejection import forget
from proxy.upstreams.providers.health_report import _read
from tokenproxy_site.celery import app

async def ask():
    connection = Connection(settings.REDIS_URL)
    await connection.command("PING")
    await connection.close()

asyncio.run(ask())
get_sync_client().redis.ping()
cache.get("name")
_read([])
for connect in (app.connection_for_read, app.connection_for_write):
    with connect() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0)
        assert broker.default_channel.client.connection_pool.connection_kwargs["db"] == 1
"""


def test_all_clients_of_a_site_reach_a_server_that_knows_them_alone(
    valkey_server: Valkey, authority: Authority
) -> None:
    context = server_context(authority.vouch_for("server", address="127.0.0.1"), clients=authority)
    mine = authority.vouch_for("us")
    # The version is spelled as none of the libraries would take it.
    options = (
        f"?ssl_ca_certs={authority.certificate}&ssl_min_version=TLSv1.2"
        f"&ssl_certfile={mine.certificate}&ssl_keyfile={mine.key}"
    )

    with relayed(valkey_server.port or 0, tls=context) as relay:
        url = url_of(valkey_server, relay, options)
        urls = {"REDIS_URL": url, "CELERY_BROKER_URL": beside(url, 1)}
        site = subprocess.run(
            [sys.executable, "-c", SITE],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tokenproxy_site.settings", **urls},
            capture_output=True,
            text=True,
            check=False,
        )

    assert (site.stderr, site.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "is required"),
        ("http://redis.example/0", "must be an address such as redis://"),
        ("redis:///0", "names no host"),
        ("unix://", "names no path"),
        ("redis://redis.example:x/0", "has a host or port that is none"),
        ("redis://redis.example:99999/0", "has a host or port that is none"),
        ("redis://redis.example/one", "must name its database by a number"),
        ("redis://redis.example/0/1", "must name its database by a number"),
        ("redis://redis.example/0?db=1", "names its database twice"),
        ("redis://redis.example/0#1", "has a '#', or an '@'"),
        ("redis://redis.example/0?db=1@", "an '@' behind its host"),
        ("redis://user@redis.example/0", "names a user without a password"),
        ("redis://redis.example/0?socket_timeout=1", "has the option socket_timeout"),
        ("redis://redis.example/0?protocol=3", "has the option protocol"),
        ("rediss://redis.example/0?ssl_ca_cert=ca.pem", "has the option ssl_ca_cert: it may"),
        ("rediss://redis.example/0?ssl_ca_path=/etc", "has the option ssl_ca_path: it may"),
        ("rediss://redis.example/0?ssl_ca_certs", "has an empty option ssl_ca_certs"),
        ("redis://redis.example/0?ssl_ca_certs=ca.pem", "needs rediss://"),
        ("unix:///redis.sock?ssl_cert_reqs=none", "needs rediss://"),
        ("rediss://redis.example/0?ssl_ca_certs=/no/ca.pem", "ssl_ca_certs that can't be read"),
        ("rediss://redis.example/0?ssl_ca_certs=Makefile", "certificates that can't be used"),
        ("rediss://redis.example/0?ssl_keyfile=Makefile", "ssl_keyfile without an ssl_certfile"),
        ("rediss://redis.example/0?ssl_cert_reqs=maybe", "must be one of required, optional, none"),
        ("rediss://redis.example/0?ssl_check_hostname=on", "must be one of true"),
        ("rediss://redis.example/0?ssl_min_version=SSLv3", "must be one of tlsv1.2"),
        ("rediss://h/0?ssl_cert_reqs=none&ssl_cert_reqs=required", "ssl_cert_reqs twice"),
        ("rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=true", "unverified"),
    ],
)
def test_it_refuses_to_start_with_what_it_can_not_honour(
    monkeypatch: pytest.MonkeyPatch, url: str, sentence: str
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("REDIS_URL", url)

    with pytest.raises(ImproperlyConfigured) as refused:
        get_redis_url("REDIS_URL")

    assert str(refused.value).startswith("The setting REDIS_URL ")
    assert sentence in str(refused.value)


@pytest.mark.parametrize("password", ["se/cret", "se?cret", "se#cret", "12/se?cr=et", "12?se&c"])
def test_a_refusal_does_not_tell_the_password(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://user:{password}@redis.example:6379/0")

    with pytest.raises(ImproperlyConfigured) as refused:
        get_redis_url("REDIS_URL")

    assert "se" not in str(refused.value).removeprefix("The setting").replace("password", "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", "redis://h/1"),
        ("redis://:p%2F@h:1/0", "redis://:p%2F@h:1/1"),
        ("redis://h?db=4", "redis://h/1"),
        ("rediss://h/0?ssl_ca_certs=/a/ca.pem", "rediss://h/1?ssl_ca_certs=%2Fa%2Fca.pem"),
        ("unix:///a/redis.sock", "unix:///a/redis.sock?db=1"),
        ("unix://:p@/a/redis.sock?db=4", "unix://:p@/a/redis.sock?db=1"),
    ],
)
def test_the_broker_is_beside_the_wallets(url: str, expected: str) -> None:
    assert beside(url, 1) == expected
    assert RedisAddress.parse(expected).db == 1


def test_no_other_module_reads_a_redis_url() -> None:
    readers = [
        path.relative_to(ROOT)
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        if any(word in path.read_text() for word in ("Redis.from_url", "parse_url"))
    ]

    assert readers == []
