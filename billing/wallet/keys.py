"""The names of a wallet's keys in Redis. Those of one wallet share a hash tag, its shard."""

SHARDS = 16


def shard_of(wallet_id: int) -> int:
    """Return the shard that holds everything of this wallet."""
    return wallet_id % SHARDS


def prefix(shard: int) -> str:
    """Return the hash tag that starts every key of a shard."""
    return f"{{{shard}}}"


def fence(shard: int) -> str:
    """The epoch in which the shard was opened; absent after a flush."""
    return f"{{{shard}}}:fence"


def wallet(wallet_id: int) -> str:
    """The figures of one wallet."""
    return f"{{{wallet_id % SHARDS}}}:wallet:{wallet_id}"


def hold(wallet_id: int, reference: str) -> str:
    """The register of one request or debit."""
    return register(wallet_id % SHARDS, reference)


def register(shard: int, reference: str) -> str:
    """The register of one request or debit, for who knows only its shard."""
    return f"{{{shard}}}:hold:{reference}"


def leases(shard: int) -> str:
    """When each open hold's lease runs out."""
    return f"{{{shard}}}:leases"


def events(shard: int) -> str:
    """Debits that the drain has to book."""
    return f"{{{shard}}}:events"


def drained(shard: int) -> str:
    """When the drain last went through all events of the shard."""
    return f"{{{shard}}}:drained"


def api_key(wallet_id: int, api_key_id: int) -> str:
    """What an API key spent, what it holds, and where its limits stand."""
    return f"{{{wallet_id % SHARDS}}}:key:{api_key_id}"


def looks_of_key(wallet_id: int, api_key_id: int) -> str:
    """Where an API key's requests per minute stand that hold nothing."""
    return f"{{{wallet_id % SHARDS}}}:looks:key:{api_key_id}"


def looks_of_wallet(wallet_id: int) -> str:
    """Where a wallet's requests per minute stand that hold nothing."""
    return f"{{{wallet_id % SHARDS}}}:looks:wallet:{wallet_id}"
