"""The guards of the function library, one by one: a call that is refused changes nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from billing.exceptions import UnknownHold, WalletError, WalletMissing, WalletRecovering
from billing.ledger.loads import find_epochs
from billing.ledger.pushes import push_call
from billing.ledger.wallets import freeze_wallet
from billing.models import Wallet
from billing.wallet import keys, library
from billing.wallet.commands import ending, figures, loading, placing, restoring, shards
from billing.wallet.commands.command import Reply, parse_ok
from billing.wallet.commands.ending import Reaped
from billing.wallet.commands.figures import Balance
from billing.wallet.commands.restoring import MonthFigures, RestoredKey
from billing.wallet.commands.shards import OpenHold
from billing.wallet.limits import KeyFigures
from tests.billing.wallet.every_command import REBUILDING, SERVING, event_id, place
from tests.conftest import open_fences
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)


NEEDS_A_WALLET = pytest.mark.parametrize(
    "name",
    ["place", "count_request", "count_member", "settle_late", "debit", "push", "read", "inquire"],
)


@pytest.fixture
def busy(till: Till) -> Till:
    """A wallet with an open hold, a settled request and an event that waits."""
    till.grant(1_000)
    till.place("open", 100)
    till.place("settled", 50)
    till.settle("settled", 20)
    # They would end by the clock.
    till.client.redis.hdel(keys.api_key(till.wallet.pk, till.key.pk), "ra", "ta")
    till.client.redis.hdel(keys.wallet(till.wallet.pk), "ra", "ta")
    return till


def dump(till: Till) -> dict[bytes, bytes]:
    redis = till.client.redis
    return {name: redis.dump(name) for name in sorted(redis.keys("*"))}


def wrong(value: object) -> list[str]:
    """Return what must not be taken for this argument."""
    if isinstance(value, int):
        return ["", "x", "1.5", "1e3", "0x1", " 1", "-7", "9007199254740992"]
    return [""]


@pytest.mark.parametrize("name", SERVING)
def test_a_wrong_argument_changes_nothing(busy: Till, name: str) -> None:
    call = SERVING[name](busy)
    before = dump(busy)
    # An event's id is Redis' own; a name may be anything.
    for at, value in enumerate(call.arguments):
        for bad in wrong(value):
            if name == "ack" and at > 0:
                continue
            arguments = (*call.arguments[:at], bad, *call.arguments[at + 1 :])
            with pytest.raises(WalletError, match="ARGUMENT"):
                busy.client.ask(call._replace(arguments=arguments))
        # Of events, none is a number too: then there is nothing to do.
        # A load of no wallet is none.
        if name != "ack" and (name, at) != ("load", 3):
            with pytest.raises(WalletError):
                busy.client.ask(call._replace(arguments=call.arguments[:at]))

    assert dump(busy) == before


@pytest.mark.parametrize("name", ["begin", "take_over", *REBUILDING])
def test_a_wrong_argument_of_a_rebuild_changes_nothing(busy: Till, name: str) -> None:
    begin = restoring.begin(busy.shard, epoch="mine")
    busy.client.ask(begin)
    others = {"begin": begin, "take_over": shards.take_over(busy.shard, attempt="first")}
    call = others[name] if name in others else REBUILDING[name](busy, "mine")
    before = dump(busy)
    for at, value in enumerate(call.arguments):
        for bad in [b for b in wrong(value) if not (name == "keep" and b == "-7")]:
            optional = name == "holds" and at == 8
            if optional or (name == "forget" and at > 2):
                continue
            arguments = (*call.arguments[:at], bad, *call.arguments[at + 1 :])
            with pytest.raises(WalletError, match="ARGUMENT"):
                busy.client.ask(call._replace(arguments=arguments))

    assert dump(busy) == before


@pytest.mark.parametrize("name", SERVING)
def test_nothing_is_served_behind_a_closed_fence(busy: Till, name: str) -> None:
    call = SERVING[name](busy)
    busy.client.ask(restoring.close(busy.shard))
    before = dump(busy)

    with pytest.raises(WalletRecovering):
        parse_ok(busy.client.ask(call))

    assert dump(busy) == before


@pytest.mark.parametrize("name", SERVING)
def test_nothing_is_served_while_a_rebuild_is_under_way(busy: Till, name: str) -> None:
    call = SERVING[name](busy)
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))
    before = dump(busy)

    with pytest.raises(WalletRecovering):
        parse_ok(busy.client.ask(call))

    assert dump(busy) == before


@pytest.mark.parametrize("name", REBUILDING)
def test_only_the_present_rebuild_may_write(busy: Till, name: str) -> None:
    busy.client.ask(restoring.begin(busy.shard, epoch="other"))
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))
    call = REBUILDING[name](busy, "other")
    before = dump(busy)

    assert busy.client.ask(call)[0] == b"OVERTAKEN"

    assert dump(busy) == before


@pytest.mark.parametrize("name", REBUILDING)
def test_a_rebuild_may_not_write_into_an_open_shard(busy: Till, name: str) -> None:
    call = REBUILDING[name](busy, "mine")
    before = dump(busy)

    assert busy.client.ask(call)[0] == b"OVERTAKEN"

    assert dump(busy) == before


@pytest.mark.parametrize("name", REBUILDING)
def test_a_rebuild_that_a_flush_overtook_may_not_write(busy: Till, name: str) -> None:
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))
    call = REBUILDING[name](busy, "mine")
    busy.client.redis.flushdb()

    assert busy.client.ask(call)[0] == b"OVERTAKEN"

    assert dump(busy) == {}


def test_what_another_attempt_handed_over_opens_nothing(busy: Till) -> None:
    parse_ok(busy.client.ask(SERVING["hand_over"](busy)))
    busy.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", library.read_source())

    reply = busy.client.ask(shards.take_over(busy.shard, attempt="second"))

    assert reply == [b"RECOVERING"]
    assert busy.client.ask(shards.status(busy.shard)) == [b"RECOVERING"]
    assert not busy.client.redis.exists(keys.handover(busy.shard))


def test_what_was_handed_over_before_a_flush_opens_nothing(busy: Till) -> None:
    parse_ok(busy.client.ask(SERVING["hand_over"](busy)))
    busy.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", library.read_source())
    busy.client.redis.delete(keys.fence(busy.shard))

    reply = busy.client.ask(shards.take_over(busy.shard, attempt="first"))

    assert reply == [b"RECOVERING"]


def test_opening_twice_opens_once(busy: Till) -> None:
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))
    call = restoring.open_fence(busy.shard, epoch="mine")

    assert [busy.client.ask(call)[0] for _ in range(2)] == [b"OK", b"OK"]


def test_what_a_rebuild_puts_back_is_put_back_once(busy: Till) -> None:
    redis = busy.client.redis
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))
    call = REBUILDING["correct_event"](busy, "mine")

    for _ in range(3):
        busy.client.ask(call)

    ((_, fields),) = redis.xrange(keys.events(busy.shard))
    assert (fields[b"delta"], fields[b"charged"], fields[b"ref"]) == (b"3", b"4", b"settled")
    assert redis.hget(keys.register(busy.shard, "settled"), "c") == b"4"


def test_an_event_without_a_register_gets_none(busy: Till) -> None:
    busy.client.redis.delete(keys.register(busy.shard, "settled"))
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))

    busy.client.ask(REBUILDING["correct_event"](busy, "mine"))

    assert not busy.client.redis.exists(keys.register(busy.shard, "settled"))


def test_a_restored_key_spent_only_what_the_rebuild_tells(busy: Till) -> None:
    month = busy.facts("any").month
    told = RestoredKey(open=0, held=0, spent=9, months={202_603: MonthFigures(0, 9)})
    for call in (
        restoring.begin(busy.shard, epoch="mine"),
        restoring.api_keys(busy.shard, [(busy.key.pk, told)], epoch="mine"),
        restoring.open_fence(busy.shard, epoch="mine"),
    ):
        parse_ok(busy.client.ask(call))

    assert busy.figures(202_603) == KeyFigures(0, 0, 9, 0, 9)
    assert busy.figures(month) == KeyFigures(0, 0, 9, 0, 0)


@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("extend", parse_ok),
        ("settle", parse_ok),
        ("void", parse_ok),
        ("reap", ending.parse_reap),
    ],
    ids=["extend", "settle", "void", "reap"],
)
def test_a_hold_of_another_epoch_is_not_known(
    busy: Till, name: str, parse: Callable[[Reply], object]
) -> None:
    call = SERVING[name](busy)
    open_fences(busy.client)
    reply = busy.client.ask(call)

    with pytest.raises(UnknownHold):
        parse(reply)

    assert busy.balance().posted_credits == 980


@NEEDS_A_WALLET
def test_a_wallet_that_is_not_there_is_missing(busy: Till, name: str) -> None:
    busy.client.redis.delete(keys.wallet(busy.wallet.pk))
    before = dump(busy)

    with pytest.raises(WalletMissing):
        parse_ok(busy.client.ask(SERVING[name](busy)))

    assert dump(busy) == before


@NEEDS_A_WALLET
def test_a_wallet_of_another_epoch_is_missing(busy: Till, name: str) -> None:
    busy.client.redis.hset(keys.wallet(busy.wallet.pk), "e", "another")
    before = dump(busy)

    with pytest.raises(WalletMissing):
        parse_ok(busy.client.ask(SERVING[name](busy)))

    assert dump(busy) == before


def test_an_acknowledgement_leaves_a_wallet_of_another_epoch_as_it_is(busy: Till) -> None:
    wallet_key = keys.wallet(busy.wallet.pk)
    busy.client.redis.hset(wallet_key, "e", "another")
    before = busy.client.redis.hgetall(wallet_key)

    parse_ok(busy.client.ask(SERVING["ack"](busy)))

    assert busy.client.redis.hgetall(wallet_key) == before


def test_a_load_of_another_epoch_changes_nothing(busy: Till) -> None:
    busy.client.redis.delete(keys.wallet(busy.wallet.pk))
    before = dump(busy)

    with pytest.raises(WalletRecovering):
        loading.parse_load(busy.client.ask(SERVING["load"](busy)))

    assert dump(busy) == before


def test_a_load_leaves_a_wallet_that_is_there_as_it_is(busy: Till) -> None:
    wallet_key = keys.wallet(busy.wallet.pk)
    before = busy.client.redis.hgetall(wallet_key), busy.figures()
    epoch = find_epochs([busy.shard])[busy.shard]
    call = SERVING["load"](busy)

    reply = busy.client.ask(call._replace(arguments=(epoch, *call.arguments[1:])))

    assert loading.parse_load(reply) == 0
    assert (busy.client.redis.hgetall(wallet_key), busy.figures()) == before


def test_what_ended_can_neither_be_placed_nor_renewed(busy: Till) -> None:
    before = dump(busy)
    extend = ending.extend(busy.facts("settled"), busy.settlement(5), lease_ms=60_000)

    for call in (place(busy, "settled"), extend):
        with pytest.raises(UnknownHold, match="ENDED"):
            parse_ok(busy.client.ask(call))

    assert dump(busy) == before


def test_only_open_holds_of_this_epoch_are_told(busy: Till) -> None:
    told = [shards.parse_holds(busy.client.ask(shards.holds(busy.shard)))]
    # Somebody ended it and the lease was left behind.
    busy.client.redis.zadd(keys.leases(busy.shard), {"settled": 1})
    told.append(shards.parse_holds(busy.client.ask(shards.holds(busy.shard))))
    open_fences(busy.client)
    told.append(shards.parse_holds(busy.client.ask(shards.holds(busy.shard))))

    hold = OpenHold(busy.wallet.pk, busy.key.pk, 100, busy.user.pk)
    assert told == [([hold], 0), ([hold], 1), ([], 2)]


def test_progress_does_not_go_back(busy: Till) -> None:
    for amount in (30, 10):
        busy.extend("open", amount)

    assert busy.reap("open", is_dead=True) is Reaped.SETTLED
    assert busy.balance().posted_credits == 1_000 - 20 - 30


def test_a_reap_of_a_living_hold_changes_nothing(busy: Till) -> None:
    before = dump(busy)

    assert busy.reap("open") is Reaped.ALIVE

    assert dump(busy) == before


def test_a_void_of_what_was_reaped_changes_nothing(busy: Till) -> None:
    busy.extend("open", 30)
    busy.reap("open", is_dead=True)
    before = busy.balance()

    assert busy.void("open") is False

    assert busy.balance() == before


def test_a_voided_hold_says_so_to_the_reaper(busy: Till) -> None:
    busy.void("open")

    assert busy.reap("open", is_dead=True) is Reaped.VOIDED
    assert busy.balance() == Balance(980, 0, 980, 0)


def test_a_late_settlement_of_a_hold_that_is_known_is_a_settlement(busy: Till) -> None:
    call = ending.settle_late(
        busy.facts("open"), busy.settlement(60), held=1, charged=55, target=55
    )

    for _ in range(2):
        ending.parse_settle(busy.client.ask(call))

    assert busy.balance() == Balance(920, 0, 920, 0)


def test_a_debit_is_decided_once(busy: Till) -> None:
    call = figures.debit(busy.wallet.pk, "debit:1", amount_credits=5)

    answers = [parse_ok(busy.client.ask(call)) for _ in range(3)]

    assert answers == [[5, 875]] * 3


def test_an_event_acknowledged_twice_is_booked_once(busy: Till) -> None:
    found = event_id(busy)
    before = busy.balance()

    answers = [busy.client.ask(shards.ack(busy.shard, [found, found, "1-1"])) for _ in range(2)]

    assert [answer[1] for answer in answers] == [1, 0]
    assert busy.balance() == before
    assert busy.client.redis.hget(keys.wallet(busy.wallet.pk), "pend") == b"0"


def test_an_acknowledgement_with_an_event_that_can_not_be_read_changes_nothing(busy: Till) -> None:
    busy.client.redis.xadd(keys.events(busy.shard), {"kind": "nonsense"})
    ids = [name.decode() for name, _ in busy.client.redis.xrange(keys.events(busy.shard))]
    before = dump(busy)

    with pytest.raises(WalletError, match="ARGUMENT"):
        busy.client.ask(shards.ack(busy.shard, ids))

    assert dump(busy) == before


@pytest.mark.parametrize("field", ["delta", "wallet", "ref"])
def test_an_event_with_a_wrong_field_is_not_acknowledged(busy: Till, field: str) -> None:
    value = {"delta": "1.5", "wallet": "x", "ref": ""}[field]
    good = {"delta": "1", "wallet": str(busy.wallet.pk), "ref": "other"}
    event = busy.client.redis.xadd(keys.events(busy.shard), {**good, field: value})
    before = dump(busy)

    with pytest.raises(WalletError, match="ARGUMENT"):
        busy.client.ask(shards.ack(busy.shard, [event.decode()]))

    assert dump(busy) == before


def test_an_event_that_came_just_now_stops_nobody(busy: Till) -> None:
    assert busy.client.ask(place(busy))[0] == b"OK"


def test_a_request_that_nobody_placed_is_unknown(busy: Till) -> None:
    with pytest.raises(UnknownHold):
        shards.parse_register(busy.client.ask(shards.register(busy.wallet.pk, "nobody")))


def test_a_rebuild_keeps_only_what_is_there(busy: Till) -> None:
    busy.client.ask(restoring.begin(busy.shard, epoch="mine"))
    before = dump(busy)

    busy.client.ask(restoring.keep(busy.shard, [("gone", 7)], lease_ms=5, epoch="mine"))

    assert dump(busy) == before


def test_a_late_settlement_below_what_is_booked_lowers_nothing(busy: Till) -> None:
    call = ending.settle_late(busy.facts("lost"), busy.settlement(5), held=9, charged=20, target=30)

    settled = ending.parse_settle(busy.client.ask(call))

    # 10 of the 30 were still due; of 880, 870 are left.
    assert (settled.charged_credits, settled.available_credits) == (30, 870)


def test_units_that_cost_nothing_are_all_given(till: Till) -> None:
    till.grant(1)
    free = replace(till.hold_request("r1", 7), unit_millicredits=0, fixed_millicredits=1_000)

    placed = placing.parse_place(
        till.client.ask(placing.place(free, lease_ms=1_000, limit=NO_LIMIT))
    )

    assert (placed.units, placed.held_credits) == (7, 1)


def test_a_register_lives_until_its_event_is_booked_and_some_time_after(busy: Till) -> None:
    redis, register = busy.client.redis, keys.hold(busy.wallet.pk, "settled")
    ttls = [redis.ttl(register)]
    busy.client.ask(shards.ack(busy.shard, [event_id(busy)]))
    ttls.append(redis.ttl(register))
    busy.settle("settled", 40)
    ttls.append(redis.ttl(register))

    assert (ttls[0], 800 < ttls[1] <= 900, ttls[2]) == (-1, True, -1)


def test_a_register_of_another_epoch_leaves_no_time_to_live_behind(busy: Till) -> None:
    busy.void("open")
    open_fences(busy.client)

    busy.client.ask(place(busy, "open"))

    assert busy.client.redis.ttl(keys.hold(busy.wallet.pk, "open")) == -1


def test_a_rebuild_that_begins_in_the_epoch_of_the_last_one_closes_the_shard(busy: Till) -> None:
    for call in (
        restoring.begin(busy.shard, epoch="e"),
        restoring.open_fence(busy.shard, epoch="e"),
    ):
        busy.client.ask(call)

    busy.client.ask(restoring.begin(busy.shard, epoch="e"))

    assert busy.client.ask(shards.status(busy.shard)) == [b"RECOVERING"]


def test_a_lower_push_of_credits_is_refused(busy: Till) -> None:
    pushed = push_call(Wallet.objects.get(pk=busy.wallet.pk))
    posted, credited, debt, state, version = pushed.arguments
    before = dump(busy)
    lower = (posted, int(credited) - 1, debt, state, int(version) + 1)

    with pytest.raises(WalletError, match="credited"):
        busy.client.ask(pushed._replace(arguments=lower))

    assert dump(busy) == before


def test_a_clock_that_was_set_back_limits_nobody_for_longer_than_a_minute(busy: Till) -> None:
    hour_ahead = busy.client.redis.time()[0] * 1_000_000 + 3_600_000_000
    busy.client.redis.hset(keys.api_key(busy.wallet.pk, busy.key.pk), "ra", hour_ahead)
    limited = replace(busy.hold_request("r1", 1), limits=limits({"requests_per_minute": 60_000}))

    reply = busy.client.ask(placing.place(limited, lease_ms=1_000, limit=NO_LIMIT))

    assert reply[0] == b"LIMITED"
    assert int(reply[3]) <= 2


def test_a_refused_request_costs_nothing_of_the_rate(busy: Till) -> None:
    dear = replace(busy.hold_request("dear", 5_000), limits=limits({"requests_per_minute": 2}))
    cheap = replace(busy.hold_request("cheap", 1), limits=limits({"requests_per_minute": 2}))
    for _ in range(5):
        assert busy.client.ask(placing.place(dear, lease_ms=1_000, limit=NO_LIMIT))[0] != b"OK"

    reply = busy.client.ask(placing.place(cheap, lease_ms=1_000, limit=NO_LIMIT))

    assert (reply[0], reply[5]) == (b"OK", 1)


def test_a_frozen_wallet_still_settles(busy: Till) -> None:
    freeze_wallet(busy.wallet, reason="looked stolen")

    assert busy.settle("open", 60).charged_credits == 60


def test_a_millicredit_is_rounded_up_once(till: Till) -> None:
    till.grant(1_000)
    hold = replace(
        till.hold_request("r1", 3), fixed_millicredits=1, unit_millicredits=333, units_wanted=3
    )

    placed = placing.parse_place(
        till.client.ask(placing.place(hold, lease_ms=1_000, limit=NO_LIMIT))
    )

    assert placed.held_credits == 1


def test_a_hold_is_clamped_to_the_last_credit_and_no_further(till: Till) -> None:
    till.grant(10)
    hold = replace(
        till.hold_request("r1", 100),
        fixed_millicredits=500,
        unit_millicredits=2_000,
        units_wanted=100,
        units_least=1,
    )

    placed = placing.parse_place(
        till.client.ask(placing.place(hold, lease_ms=1_000, limit=NO_LIMIT))
    )

    assert (placed.units, placed.held_credits, placed.available_credits) == (4, 9, 1)


def test_a_charge_of_nothing_is_no_negative_zero(till: Till) -> None:
    # Lua has a zero below zero, and Redis refuses to count with "-0".
    till.grant(10)
    till.place("r1", 5)

    till.settle("r1", 5)

    assert till.client.redis.hget(keys.wallet(till.wallet.pk), "held") in {"0", b"0"}


def test_a_hold_that_wants_less_than_its_least_is_refused(till: Till) -> None:
    till.grant(10)
    hold = replace(till.hold_request("r1", 5), units_wanted=4)

    with pytest.raises(WalletError, match="units_least"):
        till.client.ask(placing.place(hold, lease_ms=1_000, limit=NO_LIMIT))
