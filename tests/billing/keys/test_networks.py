"""Networks as people write them."""

import pytest

from billing.keys.networks import BadNetwork, clean_networks


def test_it_spells_networks_in_one_way_and_once() -> None:
    written = [" 203.0.113.7 ", "203.0.113.7/32", "", "2001:DB8::/32", "10.0.0.0/255.0.0.0"]

    assert clean_networks(written) == ["203.0.113.7/32", "2001:db8::/32", "10.0.0.0/8"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::FFFF:203.0.113.0/120", "203.0.113.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:cb00:7107", "203.0.113.7/32"),
        ("::/64", "::/64"),
    ],
)
def test_an_ipv4_network_written_as_ipv6_means_the_ipv4_one(written: str, meant: str) -> None:
    assert clean_networks([written]) == [meant]


@pytest.mark.parametrize("text", ["example.com", "10.0.0.0/33", "10.0.0", "1.2.3.4-1.2.3.9"])
def test_it_refuses_what_is_no_network(text: str) -> None:
    with pytest.raises(BadNetwork, match="such as"):
        clean_networks([text])


def test_it_says_what_was_probably_meant() -> None:
    with pytest.raises(BadNetwork, match=r"write 10\.1\.2\.0/24"):
        clean_networks(["10.1.2.3/24"])


def test_it_takes_no_more_than_it_can_check_for_each_request() -> None:
    assert len(clean_networks([f"10.0.0.{n}" for n in range(50)])) == 50
    with pytest.raises(BadNetwork, match="At most 50"):
        clean_networks([f"10.0.0.{n}" for n in range(51)])
