"""Which server keeps which shard: the one parser of REDIS_SHARDS.

`0-7=redis://a:6379/0,8-15=rediss://b:6379/0?ssl_ca_certs=/etc/redis/ca.pem`. Each shard is named
once. What belongs to no wallet stays at REDIS_URL.
"""

import re
from collections.abc import Sequence

from billing.wallet import keys
from billing.wallet.address import MalformedAddress, RedisAddress

# Where an entry begins. A comma elsewhere belongs to its URL.
ENTRY = re.compile(r"(?:^|,)\s*(\d+)(?:-(\d+))?=(?=\s*[a-z]+://)")
# What the server of REDIS_URL is called, wherever it is: it may move, as long as nothing is spread.
DEFAULT_NODE = "REDIS_URL"


def read_shard_map(text: str, *, default: str) -> tuple[str, ...]:
    """Return the URL of each shard's server; without a map, the default's. Raises MalformedAddress.

    A gap, an overlap and two spellings of one server are refused.
    """
    if not text:
        return (default,) * keys.SHARDS
    urls: dict[int, str] = {}
    for shards, url in _entries(text):
        for shard in shards:
            if shard in urls:
                raise MalformedAddress(f"names shard {shard} twice")
            urls[shard] = url
    missing = [str(shard) for shard in range(keys.SHARDS) if shard not in urls]
    if missing:
        raise MalformedAddress(f"names no server for shard {', '.join(missing)}")
    _demand_one_spelling([*urls.values(), default])
    return tuple(urls[shard] for shard in range(keys.SHARDS))


def name_of_node(url: str, *, default: str) -> str:
    """Return what a server is called in the books, in messages and in metrics: no secret."""
    address = RedisAddress.parse(url)
    return DEFAULT_NODE if address == RedisAddress.parse(default) else address.place()


def _entries(text: str) -> list[tuple[range, str]]:
    found = list(ENTRY.finditer(text))
    if not found or found[0].start() != 0:
        # Nothing of the text is shown: it may hold a password.
        raise MalformedAddress("must be a list such as 0-7=redis://a:6379/0,8-15=redis://b:6379/0")
    ends = [entry.start() for entry in found[1:]] + [len(text)]
    entries = []
    for entry, end in zip(found, ends, strict=True):
        first = int(entry[1])
        last = int(entry[2] or first)
        if not first <= last < keys.SHARDS:
            raise MalformedAddress(
                f"names shards {first}-{last}: they are 0 to {keys.SHARDS - 1}, the lower first"
            )
        entries.append((range(first, last + 1), text[entry.end() : end].strip()))
    return entries


def _demand_one_spelling(urls: Sequence[str]) -> None:
    """Refuse a server that is named in two ways: its function library would be loaded twice."""
    spelt: dict[str, str] = {}
    for url in urls:
        server = RedisAddress.parse(url).server()
        if spelt.setdefault(server, url) != url:
            raise MalformedAddress(
                f"names the server {server} in two ways: the URLs of one server must be the same, "
                "that of REDIS_URL among them"
            )
