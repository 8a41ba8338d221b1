"""Shards on several servers: one that is lost or moved stops only what it keeps."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from billing.audit.books import audit
from billing.exceptions import WalletRecovering
from billing.ledger.debits import ask_debit, decide_open
from billing.ledger.loads import load_wallets
from billing.ledger.pushes import push_due
from billing.models import Debit, ShardHome, UsageRecord, Wallet
from billing.upkeep import homes
from billing.upkeep.adoption import adopt_journals
from billing.upkeep.drain import drain
from billing.upkeep.readiness import find_wallet_problem, read_wallet_load
from billing.upkeep.reaper import reap
from billing.upkeep.recovery import recover
from billing.wallet import keys
from billing.wallet.client import WalletClient
from billing.wallet.commands.figures import Balance
from billing.wallet.journal import Journal
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from devstack.valkey import Valkey
from tests.conftest import person
from tests.redis_wire import before_command
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)

SECOND, THIRD = range(6, 11), range(11, 16)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("second") / "valkey", durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("third") / "valkey", durable=False) as server:
        yield server


@dataclass
class Nodes:
    """A default server and two more, with a customer of each shard."""

    second: Valkey
    third: Valkey
    map: tuple[str, ...]
    tills: dict[int, Till]

    def flush(self, server: Valkey) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.flushall()

    def names_at(self, server: Valkey) -> set[str]:
        with redis.Redis.from_url(server.url) as client:
            return {name.decode() for name in client.keys("*")}

    def balances(self) -> dict[int, Balance | None]:
        """Return what each shard's customer has; None if the shard is closed."""
        return {shard: balance_of(till) for shard, till in self.tills.items()}


def balance_of(till: Till) -> Balance | None:
    try:
        load_wallets([till.wallet.pk])
        return get_sync_client().read_balance(till.wallet.pk)
    except WalletRecovering:
        return None


@pytest.fixture
def nodes(
    second: Valkey,
    third: Valkey,
    redis_wallets: SyncWalletClient,
    journal_dir: Path,
    settings: Settings,
) -> Iterator[Nodes]:
    """The customers' wallets are all at the default server, as before there was a map."""
    spread = [settings.REDIS_URL] * keys.SHARDS
    for server, shards in ((second, SECOND), (third, THIRD)):
        if not server.process.is_running:
            server.start()
        for shard in shards:
            spread[shard] = server.url
    tills = [Till(person(f"customer{number}")) for number in range(keys.SHARDS)]
    found = Nodes(second, third, tuple(spread), {till.shard: till for till in tills})
    for till in tills:
        till.grant(1_000)
    yield found
    for server in (second, third):
        if not server.process.is_running:
            server.start()
        found.flush(server)


@pytest.fixture
def spread(nodes: Nodes, settings: Settings) -> Nodes:
    """The same after `move_shards`."""
    settings.REDIS_SHARDS = nodes.map
    call_command("move_shards", verbosity=0)
    for till in nodes.tills.values():
        till.client = get_sync_client()
    return nodes


def shards_of(names: set[str]) -> set[int]:
    return {int(name[1 : name.index("}")]) for name in names if name.startswith("{")}


def test_each_server_keeps_its_shards_and_no_others(spread: Nodes) -> None:
    default = {name.decode() for name in get_sync_client().nodes[0].redis.keys("*")}

    assert shards_of(default) == set(range(6))
    assert shards_of(spread.names_at(spread.second)) == set(SECOND)
    assert shards_of(spread.names_at(spread.third)) == set(THIRD)
    assert set(spread.balances().values()) == {Balance(1_000, 0, 1_000, 0)}
    assert audit(at_rest=True) == []


def test_a_shard_is_moved_with_all_that_is_under_way(
    nodes: Nodes, settings: Settings, journal_dir: Path
) -> None:
    till, journal = nodes.tills[7], Journal.open(journal_dir)
    till.start("settled", 100, journal=journal)
    till.finish("settled", 20, journal=journal)
    till.start("open", 300, journal=journal)

    settings.REDIS_SHARDS = nodes.map
    call_command("move_shards", verbosity=0)
    till.client = get_sync_client()
    reap()

    assert till.balance() == Balance(1_000 - 20 - 300, 300, 1_000 - 20, 0)
    till.finish("open", 30, journal=journal)
    drain()
    journal.close()
    assert UsageRecord.objects.get(request_id="settled").charged_credits == 20
    assert UsageRecord.objects.get(request_id="open").charged_credits == 30
    assert audit(at_rest=True) == []


def test_whoever_has_the_old_map_serves_nothing_that_was_moved(
    spread: Nodes, settings: Settings
) -> None:
    settings.REDIS_SHARDS = (settings.REDIS_URL,) * keys.SHARDS

    with pytest.raises(WalletRecovering, match=r"shard 6 is at home at .*, REDIS_SHARDS says"):
        recover(grace_s=0)

    closed = {shard for shard, balance in spread.balances().items() if balance is None}
    assert closed == {*SECOND, *THIRD}
    assert get_sync_client().open_shards() == set(range(6))


def test_a_moved_shard_is_closed_where_it_was_before_another_opens_it(
    nodes: Nodes, settings: Settings
) -> None:
    old = get_sync_client().nodes[0]
    settings.REDIS_SHARDS = nodes.map
    strangers = homes.find_strangers(get_sync_client())

    homes.move(strangers, {old.name: old}, are_others_gone=False)

    assert old.closed_shards() == [*SECOND, *THIRD]
    assert get_sync_client().open_shards() == set(range(6))


def test_a_map_opens_nothing_before_its_shards_were_moved(nodes: Nodes, settings: Settings) -> None:
    before = get_sync_client().open_shards()
    settings.REDIS_SHARDS = nodes.map

    with pytest.raises(WalletRecovering, match="move_shards"):
        recover(grace_s=0)

    assert before == set(range(keys.SHARDS))
    assert get_sync_client().open_shards() == set(range(6))


def test_a_rebuild_that_began_before_a_move_does_not_open_the_old_place(
    nodes: Nodes, settings: Settings
) -> None:
    get_sync_client().redis.flushall()

    def move_meanwhile() -> None:
        homes = [ShardHome(shard=7, node="x:1/0", moved_at=timezone.now())]
        in_a_thread(lambda: ShardHome.objects.bulk_create(homes))

    with (
        before_command("tp_begin", move_meanwhile),
        pytest.raises(WalletRecovering, match="shard 7 is at home at x:1/0"),
    ):
        recover(grace_s=0)

    assert get_sync_client().open_shards() == set()


def test_moving_back_is_moving(spread: Nodes, settings: Settings, tmp_path: Path) -> None:
    settings.REDIS_SHARDS = (settings.REDIS_URL,) * keys.SHARDS
    urls = tmp_path / "urls"
    urls.write_text(f"{spread.second.url}\n{spread.third.url}\n")

    with pytest.raises(CommandError, match=r"address of the old server .* was not given"):
        call_command("move_shards", verbosity=0)
    unmoved = get_sync_client().open_shards()
    call_command("move_shards", "--old-url-file", str(urls), verbosity=0)

    assert unmoved == set(range(6))
    assert set(spread.balances().values()) == {Balance(1_000, 0, 1_000, 0)}
    assert spread.names_at(spread.second) == set()
    assert audit(at_rest=True) == []


def test_an_old_server_that_does_not_answer_is_not_taken_for_dead(
    spread: Nodes, settings: Settings
) -> None:
    settings.REDIS_SHARDS = tuple(
        settings.REDIS_URL if shard in SECOND else url for shard, url in enumerate(spread.map)
    )
    spread.second.kill()

    with pytest.raises(CommandError):
        call_command("move_shards", verbosity=0)
    moved = ShardHome.objects.get(shard=6).node
    call_command("move_shards", "--old-is-gone", verbosity=0)

    assert moved != "REDIS_URL"
    assert set(spread.balances().values()) == {Balance(1_000, 0, 1_000, 0)}


@pytest.mark.parametrize("how", ["kill_and_restart", "flush", "lose_everything"])
def test_a_server_that_is_lost_closes_only_its_shards(
    spread: Nodes, journal_dir: Path, how: str
) -> None:
    journal = Journal.open(journal_dir)
    hurt, well = spread.tills[6], spread.tills[0]
    for till, name in ((hurt, "hurt"), (well, "well")):
        till.start(name, 100, journal=journal)
    if how == "flush":
        spread.flush(spread.second)
    else:
        spread.second.kill()

    during = spread.balances()
    well.finish("well", 10, journal=journal)
    with pytest.raises(WalletRecovering):
        push_due_of_all()
    if how == "lose_everything":
        remove_data(spread.second)
    if how != "flush":
        spread.second.start()
    drain()
    rebuilt = recover(grace_s=0)

    assert {shard for shard, balance in during.items() if balance is None} == set(SECOND)
    assert rebuilt == list(SECOND)
    assert well.balance() == Balance(990, 0, 990, 0)
    assert hurt.balance() == Balance(900, 100, 1_000, 0)
    hurt.finish("hurt", 10, journal=journal)
    push_due()
    drain()
    journal.close()
    assert audit(at_rest=True) == []


def push_due_of_all() -> None:
    """Change every wallet without telling Redis, and let the sweep tell it."""
    for wallet in Wallet.objects.all():
        Wallet.objects.filter(pk=wallet.pk).update(version=wallet.version + 1)
    push_due()


def remove_data(server: Valkey) -> None:
    for path in sorted(server.data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_the_sweeps_go_on_where_they_can(spread: Nodes, journal_dir: Path) -> None:
    lost = Journal.open(journal_dir)
    hurt, well = spread.tills[6], spread.tills[11]
    for till in (hurt, well):
        till.start(f"r{till.shard}", 100, journal=lost)
        till.finish(f"r{till.shard}", 10, journal=lost)
        till.start(f"dead{till.shard}", 100, journal=lost)
    lost.close()
    spread.second.kill()

    debits = [
        Debit(wallet=till.wallet, kind="adjustment", reference=f"d{shard}", amount_credits=1)
        for shard, till in spread.tills.items()
    ]
    for debit in debits:
        with transaction.atomic():
            ask_debit(debit)
    for sweep in (adopt_journals, push_due_of_all, decide_open, drain, reap):
        with pytest.raises(WalletRecovering):
            sweep()

    unpushed = {keys.shard_of(w.pk) for w in Wallet.objects.all() if w.pushed_version < w.version}
    assert unpushed == set(SECOND)
    booked = {keys.shard_of(d.wallet_id) for d in Debit.objects.exclude(booked_at=None)}
    assert booked == set(range(16)) - set(SECOND)
    assert well.balance() == Balance(989, 0, 989, 0)
    spread.second.start()
    recover(grace_s=0)
    adopt_journals()
    push_due()
    decide_open()
    drain()
    adopt_journals()
    assert hurt.balance() == Balance(989, 0, 989, 0)
    assert list(journal_dir.glob("*.journal")) == []
    assert audit(at_rest=True) == []


def test_the_operator_is_told_of_each_server(spread: Nodes) -> None:
    whole = find_wallet_problem()
    spread.second.kill()
    one_is_away, load = find_wallet_problem(), read_wallet_load()
    spread.second.start()

    name = get_sync_client().node_of(6).name
    assert (whole, one_is_away) == (None, None)
    assert load.closed_shards[name] == len(SECOND)
    assert sum(load.closed_shards.values()) == len(SECOND)


def test_all_servers_together_are_all_of_it(spread: Nodes) -> None:
    for node in get_sync_client().nodes:
        node.redis.flushall()

    problem = find_wallet_problem()

    assert problem is not None
    assert problem.startswith("REDIS_URL: the wallets are being rebuilt; 127.0.0.1:")


def test_a_web_process_asks_the_server_of_each_shard(spread: Nodes) -> None:
    spread.balances()
    spread.second.kill()
    hurt, well = spread.tills[6], spread.tills[11]

    async def ask() -> list[object]:
        client = await WalletClient.connect(spread.map)
        holds = [till.hold_request(f"w{till.shard}", 10) for till in (hurt, well)]
        answers = await asyncio.gather(*map(client.place, holds), return_exceptions=True)
        await client.close()
        return list(answers)

    refused, placed = asyncio.run(ask())

    assert isinstance(refused, WalletRecovering)
    assert well.balance() == Balance(990, 10, 1_000, 0)
    assert placed.held_credits == 10  # type: ignore[attr-defined]
