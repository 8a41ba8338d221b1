"""REDIS_SHARDS: which server keeps which shard."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from billing.wallet.address import MalformedAddress
from billing.wallet.shard_map import name_of_node, read_shard_map
from tokenproxy_site.env import get_shard_map

A, B = "redis://a:6379/0", "rediss://user:p%2Cw@b:6379/0?ssl_check_hostname=false"


def test_without_a_map_the_default_keeps_all() -> None:
    assert read_shard_map("", default=A) == (A,) * 16


def test_each_shard_has_the_server_that_the_map_names() -> None:
    found = read_shard_map(f"0-7={A}, 8={B},9-15={A}", default=A)

    assert found == (A,) * 8 + (B,) + (A,) * 7


def test_a_comma_within_an_address_parts_nothing() -> None:
    found = read_shard_map("0-15=redis://:1,2=3@b:6379/0", default=A)

    assert found == ("redis://:1,2=3@b:6379/0",) * 16


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"0-7={A}", "names no server for shard 8, 9, 10, 11, 12, 13, 14, 15"),
        (f"0-8={A},8-15={B}", "names shard 8 twice"),
        (f"0-16={A}", "names shards 0-16"),
        (f"7-0={A},8-15={A}", "names shards 7-0"),
        (f"0-15={A},16={A}", "names shards 16-16"),
        (A, "must be a list"),
        (f"all={A}", "must be a list"),
        (f"x,0-15={A}", "must be a list"),
        ("0-15=http://a", "must be an address"),
        ("0-15=", "must be a list"),
        ("0-7=redis://c/0,8-15=redis://c/1", "names the server c:6379 in two ways"),
        ("0-15=redis://:secret@a:6379/0", "names the server a:6379 in two ways"),
        ("0-15=redis://a:6379/3", "names the server a:6379 in two ways"),
    ],
)
def test_a_map_that_can_not_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(MalformedAddress) as refused:
        read_shard_map(text, default=A)

    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_setting_is_named_and_its_files_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SHARDS", "0-15=rediss://c/0?ssl_ca_certs=/nowhere/ca.pem")

    with pytest.raises(ImproperlyConfigured, match=r"^The setting REDIS_SHARDS has an ssl_ca"):
        get_shard_map("REDIS_SHARDS", default=A)


def test_a_server_has_a_name_without_a_secret() -> None:
    assert name_of_node(B, default=A) == "b:6379/0"
    assert name_of_node("redis://a/0", default=A) == "REDIS_URL"
