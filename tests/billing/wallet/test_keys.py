"""One wallet's keys share a slot of a Redis Cluster, because they share a hash tag."""

import inspect
import re
from collections.abc import Callable

import pytest
from redis.crc import key_slot

from billing.upkeep.reaper import abandoned
from billing.wallet import keys, library
from billing.wallet.commands import ending, figures, restoring, shards
from billing.wallet.commands.command import Command
from billing.wallet.commands.restoring import MonthFigures, RestoredKey
from tests.till import NOW_MS, Till

SOURCE = library.read_source()
WALLETS = [1, 7, 15, 16, 17, 12_345_678_901]
BUILDERS = {
    name: function
    for name, function in vars(keys).items()
    if inspect.isfunction(inspect.unwrap(function)) and function.__module__ == keys.__name__
    if name not in {"shard_of", "prefix"}
}


def build(function: Callable[..., str], wallet_id: int) -> str:
    """Command a builder with whatever it asks for."""
    values = {
        "wallet_id": wallet_id,
        "shard": keys.shard_of(wallet_id),
        "api_key_id": 99,
        "member_id": 3,
        # Whoever names a request can't move it to another slot.
        "reference": "req_{9}{",
    }
    return function(*(values[name] for name in inspect.signature(function).parameters))


def slot(key: str) -> int:
    return key_slot(key.encode())


@pytest.mark.parametrize("wallet_id", WALLETS)
def test_all_keys_of_a_wallet_are_in_one_slot(wallet_id: int) -> None:
    built = {name: build(function, wallet_id) for name, function in BUILDERS.items()}

    assert len(built) >= 8
    assert {slot(key) for key in built.values()} == {slot(keys.prefix(keys.shard_of(wallet_id)))}


def test_different_shards_are_in_different_slots() -> None:
    assert len({slot(keys.fence(shard)) for shard in range(keys.SHARDS)}) == keys.SHARDS


def test_the_library_names_keys_as_the_builders_do() -> None:
    literals = re.findall(r"(\w+) \.\. '(:[a-z]+:)' \.\.", SOURCE)

    assert literals
    assert {left for left, _ in literals} == {"prefix"}
    known = {re.sub(r"^\{\d+\}|[^:]*$", "", build(each, 7)) for each in BUILDERS.values()}
    assert {name for _, name in literals} <= known


def test_it_builds_no_other_names() -> None:
    # Of a key that is named elsewhere: the fence, without the word, with `key:`.
    assert keys.api_key(7, 99) == keys.fence(7)[:-5] + "key:99"
    built = set(re.findall(r"'([a-z:]*:)' \.\.", SOURCE))
    assert built == {":wallet:", ":hold:", ":key:", "key:", "member:", ":", "held:", "spent:"}


@pytest.mark.django_db(transaction=True)
def test_whatever_the_functions_write_is_in_the_slot_of_their_wallet(till: Till) -> None:
    till.grant(1_000)
    till.place("open", 100)
    till.extend("open", 3)
    till.place("settled", 50)
    till.settle("settled", 20)
    till.drain()
    lost = restoring.LostHold(till.facts("lost"), 10, 1_000)
    told = RestoredKey(1, 2, 3, {202_611: MonthFigures(1, 2)})
    for call in many_calls(till, lost, told):
        till.client.ask(call)

    written = [name.decode() for name in till.client.redis.keys("*")]

    mine = [name for name in written if not name.endswith(":fence")]
    assert {name.split(":")[1] for name in mine} >= {"wallet", "key", "hold", "leases", "drained"}
    assert {slot(name) for name in mine} == {slot(keys.wallet(till.wallet.pk))}


def many_calls(till: Till, lost: restoring.LostHold, told: RestoredKey) -> list[Command]:
    late = ending.settle_late(till.facts("late"), till.settlement(5), held=9, charged=1, target=2)
    at_zero = abandoned(NOW_MS)
    return [
        late,
        figures.debit(till.wallet.pk, "debit:1", amount_credits=5),
        ending.reap(till.wallet.pk, "open", without_progress=at_zero, is_dead=True),
        shards.drained(till.shard),
        restoring.begin(till.shard, epoch="mine"),
        restoring.api_keys(till.shard, [(till.key.pk, told)], epoch="mine"),
        restoring.holds(till.shard, [lost], epoch="mine"),
        restoring.keep(till.shard, [("settled", -1)], lease_ms=5, epoch="mine"),
        restoring.open_fence(till.shard, epoch="mine"),
    ]
