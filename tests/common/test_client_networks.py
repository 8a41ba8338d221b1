"""Networks of clients, as they are compared."""

from ipaddress import ip_address

import pytest

from common.client_networks import read_network
from tokenproxy_site.env import get_networks


@pytest.mark.parametrize("text", ["::ffff:10.0.0.0/104", "10.0.0.0/8"])
def test_a_client_is_in_a_network_however_it_is_written(text: str) -> None:
    assert ip_address("10.1.2.3") in read_network(text)


def test_trusted_proxies_are_read_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_NETWORKS", "::ffff:10.0.0.1, fd00::/8")

    assert [str(network) for network in get_networks("SOME_NETWORKS")] == [
        "10.0.0.1/32",
        "fd00::/8",
    ]
