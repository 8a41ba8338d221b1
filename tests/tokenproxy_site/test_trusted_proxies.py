"""Whom the site believes about where a request comes from: the setting, and the servers."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from devstack.plan import WEB_FLAGS
from tokenproxy_site.env import get_networks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("10.0.0.1", ["10.0.0.1/32"]),
        (" 10.0.0.1 , 2001:db8::/32,::1", ["10.0.0.1/32", "2001:db8::/32", "::1/128"]),
    ],
)
def test_it_reads_addresses_and_networks_of_both_families(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", text)

    assert [str(network) for network in get_networks("TRUSTED_PROXIES")] == expected


@pytest.mark.parametrize("text", ["*", "localhost", "10.0.0.1/8", "10.0.0.0/33", "2001:db8::/129"])
def test_it_refuses_to_start_with_what_is_no_network(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", f"10.0.0.0/8,{text}")

    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES must list networks"):
        get_networks("TRUSTED_PROXIES")


def test_uvicorn_believes_nobody_by_itself() -> None:
    assert "--no-proxy-headers" in WEB_FLAGS
