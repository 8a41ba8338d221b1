"""Where a request comes from: no further back than our own proxies vouch for."""

from ipaddress import ip_network
from typing import Any

import pytest

from proxy.http.client_address import client_address, parse_address, with_client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


def scope(client: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return {"client": (client, 5_000) if client else None, "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        # A stranger may write what it likes.
        ("198.51.100.7", ["203.0.113.5"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        # What the client sent along is left of what the proxy heard.
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("2001:db8::1", ["[2001:ff::7]:443"], "2001:ff::7"),
        ("10.0.0.1", ["203.0.113.5:443"], "203.0.113.5"),
        ("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        # Three hops of ours, and what two liars before them say.
        (
            "2001:db8::1",
            ["127.0.0.1, 10.9.9.9, 203.0.113.5, 10.0.0.3", "2001:db8::2"],
            "203.0.113.5",
        ),
        # A liar may claim to be a proxy of ours: whoever heard from it says otherwise.
        ("10.0.0.1", ["203.0.113.9, 10.0.0.7, 203.0.113.5"], "203.0.113.5"),
        ("2001:db8::1", ["2001:ff::7"], "2001:ff::7"),
        ("2001:db8::1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["[2001:ff::7]"], "2001:ff::7"),
        # Its own machine is nothing special.
        ("127.0.0.1", ["203.0.113.5"], "127.0.0.1"),
        ("::1", ["203.0.113.5"], "::1"),
        ("10.0.0.1", [""], None),
        ("10.0.0.1", ["203.0.113.5,"], None),
        ("10.0.0.1", ["203.0.113.0/24"], None),
        ("10.0.0.1", ["203.0.113.5; DROP"], None),
        ("10.0.0.1", ["203.0.113.5, nonsense"], None),
        ("10.0.0.1", ["unknown"], None),
        (None, ["203.0.113.5"], None),
    ],
)
def test_it_believes_its_own_proxies_and_nobody_else(
    settings: Any, client: str | None, forwarded: list[str], expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = PROXIES

    address = client_address(scope(client, *forwarded))

    assert (None if address is None else str(address)) == expected


def test_without_proxies_the_header_counts_for_nothing(settings: Any) -> None:
    settings.TRUSTED_PROXIES = []

    assert str(client_address(scope("10.0.0.1", "203.0.113.5"))) == "10.0.0.1"


@pytest.mark.parametrize("text", ["", "a.b.c.d", "1.2.3", "[", "1.2.3.4:x:y"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("10.0.0.1", "1.1.1.1, 203.0.113.5", ("203.0.113.5", 5_000)),
        ("198.51.100.7", "203.0.113.5", ("198.51.100.7", 5_000)),
        # Who can't be known shares the proxy's limits.
        ("10.0.0.1", "nonsense", ("10.0.0.1", 5_000)),
        (None, "203.0.113.5", None),
    ],
)
def test_a_page_is_told_the_same_address(
    settings: Any, client: str | None, forwarded: str, expected: tuple[str, int] | None
) -> None:
    settings.TRUSTED_PROXIES = PROXIES

    assert with_client_address(scope(client, forwarded))["client"] == expected


def headers_of_a_page(client: str | None, *names: str) -> list[str]:
    """Send these headers from an address; return the names of those that reach a page."""
    headers = [(name.encode(), b"https") for name in names]
    passed = with_client_address(
        {"client": (client, 5_000) if client else None, "headers": headers}
    )
    return [name.decode() for name, _ in passed["headers"]]


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("10.0.0.1", ["host", "x-forwarded-proto"]),
        ("::ffff:10.0.0.1", ["host", "x-forwarded-proto"]),
        ("198.51.100.7", ["host"]),
        ("127.0.0.1", ["host"]),
        (None, ["host"]),
    ],
)
def test_only_a_trusted_proxy_says_that_a_page_came_over_https(
    settings: Any, client: str | None, expected: list[str]
) -> None:
    settings.TRUSTED_PROXIES = PROXIES

    assert headers_of_a_page(client, "host", "x-forwarded-proto") == expected


@pytest.mark.parametrize("client", ["10.0.0.1", "198.51.100.7"])
@pytest.mark.parametrize(
    "name",
    [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded",
        "forwarded",
        "forwarded-for",
        "x-real-ip",
        "x-client-ip",
        "client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "x-cluster-client-ip",
    ],
)
def test_nothing_else_that_tells_of_clients_reaches_a_page(
    settings: Any, client: str, name: str
) -> None:
    settings.TRUSTED_PROXIES = PROXIES

    assert headers_of_a_page(client, name, "x-request-id") == ["x-request-id"]
