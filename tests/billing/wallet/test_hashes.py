"""Python names every field that the library writes, and reads what it means."""

import pytest

from billing.ledger.member_spending import count_member
from billing.wallet import hashes, keys
from billing.wallet.commands import restoring
from billing.wallet.commands.restoring import MonthFigures, RestoredKey
from billing.wallet.hashes import (
    KeyField,
    KeyTotals,
    RegisterField,
    RegisterFigures,
    WalletField,
    WalletFigures,
)
from billing.wallet.usage import month_of
from tests.till import NOW_MS, Till

pytestmark = pytest.mark.django_db(transaction=True)

EPOCH = "mine"
# Those that `events.py` reads.
EVENT_FIELDS = {
    *("kind", "ref", "wallet", "delta", "charged", "target", "held"),
    *("facts", "settlement", "key", "month"),
}


@pytest.fixture
def busy(till: Till) -> Till:
    """A wallet with an open hold that got somewhere, and a settled request."""
    till.grant(1_000)
    till.place("open", 100)
    till.extend("open", 3)
    till.place("settled", 50)
    till.settle("settled", 20)
    count_member(till.wallet.pk, till.user.pk)
    return till


def rebuild(till: Till) -> None:
    """Have the library write all that a rebuild writes."""
    lost = restoring.LostHold(till.facts("lost"), 10, 1_000)
    told = RestoredKey(1, 2, 3, {month_of(NOW_MS): MonthFigures(1, 2)})
    event_id, _ = till.client.redis.xrange(keys.events(till.shard))[0]
    till.client.ask_many(
        [
            restoring.begin(till.shard, epoch=EPOCH),
            restoring.wallets(till.shard, [(till.wallet, 0, 0, 0)], epoch=EPOCH),
            restoring.api_keys(till.shard, [(till.key.pk, told)], epoch=EPOCH),
            restoring.holds(till.shard, [lost], epoch=EPOCH),
            restoring.correct_event(
                till.shard, event_id.decode(), reference="settled", delta=1, charged=2, epoch=EPOCH
            ),
        ]
    )


@pytest.mark.parametrize("is_rebuilt", [False, True])
def test_every_field_that_is_written_has_a_name(busy: Till, is_rebuilt: bool) -> None:
    if is_rebuilt:
        rebuild(busy)
    redis, month = busy.client.redis, month_of(NOW_MS)

    of_wallet = {name.decode() for name in redis.hkeys(keys.wallet(busy.wallet.pk))}
    of_key = {name.decode() for name in redis.hkeys(keys.api_key(busy.wallet.pk, busy.key.pk))}
    register = "lost" if is_rebuilt else "open"
    of_register = {name.decode() for name in redis.hkeys(keys.register(busy.shard, register))}
    of_events = {
        name.decode() for _, event in redis.xrange(keys.events(busy.shard)) for name in event
    }

    rates = {WalletField.REQUESTS_AT, WalletField.TOKENS_AT}
    assert of_wallet == set(WalletField)
    # A rebuild leaves rates alone: they are no money.
    kept = set(KeyField) - (set(rates) if is_rebuilt else set())
    assert of_key == kept | {f"held:{month}", f"spent:{month}"}
    # Only what the reaper ended is marked so.
    assert of_register == set(RegisterField) - {RegisterField.REAPED}
    assert of_events == EVENT_FIELDS


def test_a_wallet_is_read_as_it_is(busy: Till) -> None:
    redis, wallet_id = busy.client.redis, busy.wallet.pk
    busy.wallet.refresh_from_db()

    epoch = redis.get(keys.fence(busy.shard))
    values = redis.execute_command(*hashes.ask_wallet(wallet_id))
    missing = redis.execute_command(*hashes.ask_wallet(wallet_id + 16))

    found = hashes.read_wallet(values, epoch=epoch)

    version = busy.wallet.version
    assert found == WalletFigures(1_000, 20, 100, 1_000, version, 0, 1, "active")
    assert hashes.read_wallet(values, epoch=b"another") is None
    assert hashes.read_wallet(missing, epoch=epoch) is None


def test_a_key_of_another_epoch_has_nothing(busy: Till) -> None:
    redis = busy.client.redis
    epoch = redis.get(keys.fence(busy.shard))
    values = redis.execute_command(*hashes.ask_key(busy.wallet.pk, busy.key.pk))
    missing = redis.execute_command(*hashes.ask_key(busy.wallet.pk, busy.key.pk + 1))

    assert hashes.read_key(values, epoch=epoch) == KeyTotals(open=1, held=100, spent=20)
    assert hashes.read_key(values, epoch=b"another") == KeyTotals()
    assert hashes.read_key(values, epoch=None) == KeyTotals()
    assert hashes.read_key(missing, epoch=epoch) == KeyTotals()


def test_registers_are_read_in_their_order(busy: Till) -> None:
    found = hashes.read_registers(busy.client, busy.shard, ["settled", "nobody", "open"])

    settled = RegisterFigures(False, busy.wallet.pk, 50, has_progress=False)
    assert found == [settled, None, RegisterFigures(True, busy.wallet.pk, 100, has_progress=True)]
