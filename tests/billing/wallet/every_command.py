"""Every command of the function library, as it would be sent about a busy till."""

from collections.abc import Callable

from billing.ledger.loads import read_books
from billing.models import Wallet
from billing.upkeep.reaper import abandoned
from billing.wallet import keys
from billing.wallet.commands import ending, figures, loading, placing, restoring, shards
from billing.wallet.commands.command import Command
from billing.wallet.commands.restoring import MonthFigures, RestoredKey, Spent
from billing.wallet.convoys import convoy
from billing.wallet.signatures import CONVOYS
from tests.till import NO_LIMIT, NOW_MS, Till, limits

Make = Callable[[Till], Command]


def place(till: Till, name: str = "new") -> Command:
    return placing.place(till.hold_request(name, 10), lease_ms=60_000, limit=NO_LIMIT)


def convoy_of(*calls: Command) -> Command:
    """Return the one call that makes these."""
    function = CONVOYS[calls[0].function]
    _, name, n_keys, *given = convoy(function, [call.parts() for call in calls])
    n = int(n_keys)
    return Command(
        calls[0].shard, str(name), tuple(str(key) for key in given[:n]), tuple(given[n:])
    )


SERVING: dict[str, Make] = {
    "place": place,
    "count_request": lambda till: placing.count_request(
        till.wallet.pk, till.key.pk, known_version=99, month=202_611, limits=limits()
    ),
    "extend": lambda till: ending.extend(till.facts("open"), till.settlement(5), lease_ms=60_000),
    "settle": lambda till: ending.settle(till.facts("open"), till.settlement(5)),
    "settle_late": lambda till: ending.settle_late(
        till.facts("lost"), till.settlement(5), held=10, charged=1, target=2
    ),
    "void": lambda till: ending.void(till.facts("open")),
    "reap": lambda till: ending.reap(
        till.wallet.pk, "open", without_progress=abandoned(NOW_MS), is_dead=True
    ),
    "count_member": lambda till: figures.count_member(
        till.wallet.pk,
        till.user.pk,
        known_version=99,
        api_key_ids=[till.key.pk],
        elsewhere={202_610: 5},
    ),
    "debit": lambda till: figures.debit(till.wallet.pk, "debit:1", amount_credits=5),
    "push": lambda till: figures.push(
        till.wallet.pk, posted=2_000, credited=2_000, debt=0, state="active", version=99
    ),
    "load": lambda till: loading.load(
        till.shard,
        read_books([till.wallet.pk]).wallets,
        {till.wallet.pk: [Spent(till.key.pk, 202_611, 5)]},
        epoch="another",
        upto=till.wallet.pk,
    ),
    "epoch": lambda till: loading.epoch(till.shard),
    "ack": lambda till: shards.ack(till.shard, [event_id(till)]),
    "drained": lambda till: shards.drained(till.shard),
    "backlog": lambda till: shards.backlog(till.shard),
    "read": lambda till: figures.read(till.wallet.pk),
    "inquire": lambda till: figures.inquire(
        till.wallet.pk, till.key.pk, known_version=99, month=202_611, limits=limits()
    ),
    "register": lambda till: shards.register(till.wallet.pk, "open"),
    "holds": lambda till: shards.holds(till.shard),
    "hand_over": lambda till: shards.hand_over(till.shard, attempt="first"),
}
REBUILDING: dict[str, Callable[[Till, str], Command]] = {
    "wallets": lambda till, epoch: restoring.wallets(
        till.shard, [(Wallet.objects.get(pk=till.wallet.pk), 0, 0, 0)], epoch=epoch
    ),
    "api_keys": lambda till, epoch: restoring.api_keys(
        till.shard,
        [(till.key.pk, RestoredKey(1, 2, 3, {202611: MonthFigures(1, 2)}))],
        epoch=epoch,
    ),
    "holds": lambda till, epoch: restoring.holds(
        till.shard, [restoring.LostHold(till.facts("lost"), 10, 1_000)], epoch=epoch
    ),
    "keep": lambda till, epoch: restoring.keep(till.shard, [("open", 7)], lease_ms=5, epoch=epoch),
    "correct_event": lambda till, epoch: restoring.correct_event(
        till.shard, event_id(till), reference="settled", delta=3, charged=4, epoch=epoch
    ),
    "forget": lambda till, epoch: restoring.forget(
        till.shard, event_ids=[event_id(till)], holds=["open"], epoch=epoch
    ),
    "open": lambda till, epoch: restoring.open_fence(till.shard, epoch=epoch),
}


def event_id(till: Till) -> str:
    found = till.client.redis.xrange(keys.events(till.shard), count=1)
    return str(found[0][0].decode()) if found else "1-1"
