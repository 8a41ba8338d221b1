"""Where requests may go: at saving, at loading and whenever a connection is opened."""

import socket
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from proxy.errors import InvalidAddress
from proxy.upstreams.addresses import PublicResolver, check_base_url, is_allowed_address


@pytest.fixture(autouse=True)
def no_loopback(settings: Any) -> None:
    """As a deployment has it."""
    settings.ALLOW_LOOPBACK_PROVIDERS = False


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104  # it is refused
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:ffff::1",
        "64:ff9b::a9fe:a9fe",
        "2002:a00:1::1",
        "2002:7f00:1::",
        "2001:0:a00:1:0:0:0:0",
    ],
)
def test_it_keeps_to_public_addresses(address: str) -> None:
    assert not is_allowed_address(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_it_knows_public_addresses(address: str) -> None:
    assert is_allowed_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_the_setting_opens_this_machine_and_nothing_else(settings: Any, address: str) -> None:
    settings.ALLOW_LOOPBACK_PROVIDERS = True

    assert is_allowed_address(address)
    assert not is_allowed_address("10.0.0.1")
    assert not is_allowed_address("169.254.169.254")


@pytest.mark.parametrize(
    "host",
    ["127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "10.1", "127.0.0.1.", "1."],
)
def test_it_refuses_numbers_that_a_system_would_take_for_an_address(host: str) -> None:
    with pytest.raises(InvalidAddress):
        check_base_url(f"https://{host}/v1")


@pytest.mark.parametrize(
    "host",
    ["127。0。0。1", "10｡0｡0｡1", "metadata。internal", "１２７.0.0.1", "localhost。local"],
)
def test_it_refuses_a_host_that_the_client_reads_as_another(host: str) -> None:
    with pytest.raises(InvalidAddress):
        check_base_url(f"https://{host}/v1")


@pytest.mark.parametrize(
    ("answers", "allowed"),
    [
        (["10.0.0.1"], []),
        (["169.254.169.254", "::ffff:127.0.0.1"], []),
        (["10.0.0.1", "8.8.8.8"], ["8.8.8.8"]),
    ],
)
async def test_a_name_that_is_pointed_inside_later_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, answers: list[str], allowed: list[str]
) -> None:
    resolver = PublicResolver()
    monkeypatch.setattr(resolver, "_resolver", _Answering(answers))

    if allowed:
        found = await resolver.resolve("api.example.com", 443)
        assert [result["host"] for result in found] == allowed
    else:
        with pytest.raises(OSError, match="no address"):
            await resolver.resolve("api.example.com", 443)


class _Answering:
    """A name server that gives these addresses."""

    def __init__(self, hosts: list[str]) -> None:
        self._hosts = hosts

    async def resolve(self, host: str, port: int, family: Any) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=ip, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for ip in self._hosts
        ]
