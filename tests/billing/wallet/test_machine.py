"""Any order of calls, sweeps, deaths and losses, against a model of a few lines.

The model knows what each request holds and costs. Between losses it predicts every answer to the
credit. After a loss it demands what the design promises: whoever is under way keeps their hold,
whoever ended is charged in full up to it, nobody twice, and nothing falls below 0.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import Role, User
from accounts.teams.members import own_team
from billing.audit.books import audit
from billing.exceptions import (
    CapReached,
    InsufficientCredits,
    MemberUncounted,
    UnknownHold,
    WalletInDebt,
    WalletRecovering,
)
from billing.ledger.debits import ask_debit, decide_open
from billing.ledger.debts import pay_debts
from billing.ledger.expiry import expire_lots
from billing.ledger.member_spending import count_member
from billing.ledger.pushes import push_due
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import Debit, UsageRecord, Wallet
from billing.upkeep import drain as drains
from billing.upkeep.adoption import adopt_journals
from billing.upkeep.loading import load_rest
from billing.upkeep.reaper import reap
from billing.upkeep.recovery import recover
from billing.wallet import keys
from billing.wallet.commands.placing import Placed
from billing.wallet.limits import Caps, KeyFigures
from tests.billing.wallet.faults import full_redis
from tests.billing.wallet.world import World
from tests.deaths import Death, die
from tests.redis_wire import before_command
from tests.teams import join
from tests.till import Till, limits

# So many runs of so many steps, anew each time: a sample, of which `make test-slow` takes 200 and
# `make test-long` 20,000. About every fourth that Hypothesis makes up ends early, and is extra.
WHOLE_RUNS = int(os.environ.get("MACHINE_EXAMPLES", "50"))
STEPS = 50
# How many it makes up at least before the whole ones are counted, and how often they are.
BATCH = 20
ROUNDS = 20

amounts = st.integers(0, 120)
picks = st.integers(0, 999)
caps = st.none() | st.integers(0, 300)
PLACING: Any = rule(who=picks, wanted=amounts, least=amounts, cap=caps, has_line=st.integers(0, 9))
ENDING: Any = rule(which=picks, amount=amounts, is_lost=st.booleans())


@dataclass
class Request:
    """What the model knows of one request."""

    name: str
    till: Till
    held: int
    # It has a line in the journal, so its upstream may have been called.
    is_started: bool
    # Redis said that it is settled at this, after this much was charged.
    target: int | None = None
    charged: int = 0
    # What the web process wrote into the journal as its end, and may not have told Redis.
    told: int | None = None
    progress: int | None = None
    is_voided: bool = False
    # Its process died; nobody will ever end it but the worker.
    is_orphan: bool = False
    # It ended at less than it cost in the end: by the reaper, or with a loss. Then its hold was
    # given back, and the rest is charged as far as it is available.
    was_let_go: bool = False

    @property
    def is_open(self) -> bool:
        return self.target is None and not self.is_voided

    @property
    def cost(self) -> int:
        """Return the most that it may be charged."""
        return max(self.target or 0, self.told or 0, self.progress or 0)


@dataclass
class Account:
    """What the model knows of one wallet: credits minus debits, without usage."""

    credited: int = 0
    debited: int = 0
    debt: int = 0
    # Redis may not have heard of everything that PostgreSQL decided.
    is_behind: bool = False
    # A hold was given back while its request went on: others may have spent it.
    had_hold_reaped: bool = False


class MoneyMachine(RuleBasedStateMachine):
    """Alice's and Bob's wallets, one web process, one worker, a Redis that is not to be trusted.

    Alice has two keys and Bob one of Alice's wallet; either has one cap there.
    """

    tills: ClassVar[list[Till]]
    folder: ClassVar[Path]
    whole_runs: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.tills, self.folder)
        self.requests: list[Request] = []
        self.accounts = {till.wallet.pk: Account() for till in self.tills}
        self.is_closed = False
        self.books_changed = True
        self.number = 0
        self.steps = 0

    # --- What customers and staff do ----------------------------------------------------------

    @initialize()
    def start_with_something(self) -> None:
        for till in self.tills:
            self.credit(till, 300)

    @rule(who=picks, amount=st.integers(1, 200), is_lost=st.booleans(), expires=st.booleans())
    def grant(self, who: int, amount: int, is_lost: bool, expires: bool) -> None:
        self.credit(self.till(who), amount, is_lost=is_lost and amount % 2 == 0, expires=expires)

    def credit(
        self, till: Till, amount: int, *, is_lost: bool = False, expires: bool = False
    ) -> None:
        expires_at = timezone.now() - timedelta(seconds=1) if expires else None
        options = {"credits": amount, "reason": "machine", "expires_at": expires_at}
        if is_lost:
            with full_redis():
                grant_credits(wallet_of(till.user), **options)  # type: ignore[arg-type]
        else:
            grant_credits(wallet_of(till.user), **options)  # type: ignore[arg-type]
        account = self.accounts[till.wallet.pk]
        account.is_behind = is_lost or self.is_closed
        row = Wallet.objects.get(pk=till.wallet.pk)
        account.credited, account.debt = row.credited_credits, row.debt_credits
        self.books_changed = True

    @rule(who=picks, amount=st.integers(1, 150), is_lost=st.booleans())
    def claw_back(self, who: int, amount: int, is_lost: bool) -> None:
        till = self.till(who)
        self.number += 1
        debit = Debit(
            wallet=till.wallet,
            kind="clawback",
            reference=f"refund:{self.number}",
            amount_credits=amount,
        )
        if is_lost:
            with full_redis():
                ask_debit(debit)
        else:
            ask_debit(debit)
            self.sync_debits()

    @rule()
    def decide_debits(self) -> None:
        self.unless_closed(decide_open)
        self.sync_debits()

    @rule()
    def pay(self) -> None:
        pay_debts()
        self.sync_debits()

    @rule()
    def expire(self) -> None:
        expire_lots()
        self.sync_debits()

    # --- What a web process does --------------------------------------------------------------

    def _place(self, who: int, wanted: int, least: int, cap: int | None, has_line: int) -> None:
        till = self.till(who)
        self.number += 1
        name = f"r{self.number}"
        least = min(least, wanted)
        left = self.available(till)
        if cap is not None:
            left = min(left, max(cap - self.used_by_member(till), 0))
        try:
            placed = self.place_within(till, name, wanted, least=least, cap=cap)
        except WalletRecovering:
            assert self.is_closed
            return
        except WalletInDebt:
            assert self.accounts[till.wallet.pk].debt
            return
        except InsufficientCredits as refusal:
            assert refusal.available_credits == self.available(till) < least
            return
        except CapReached as refusal:
            assert refusal.is_members
            assert refusal.left_credits == left < least <= self.available(till)
            return
        assert not self.is_closed
        assert placed.held_credits == min(wanted, left) >= least
        request = Request(name, till, placed.held_credits, is_started=has_line > 0)
        if request.is_started:
            self.world.journal.start(till.facts(name), placed.held_credits)
        else:
            # The process died on the line between; the hold is nobody's.
            request.is_orphan = True
        self.requests.append(request)
        assert placed.available_credits == self.available(till)

    def place_within(
        self, till: Till, name: str, wanted: int, *, least: int, cap: int | None
    ) -> Placed:
        """Place a hold; if the member is not counted yet, have them counted, and place again."""
        bounds = limits(member=Caps(lifetime_credits=cap, monthly_credits=cap))
        try:
            return till.place(name, wanted, least=least, bounds=bounds)
        except MemberUncounted:
            assert cap is not None
            count_member(till.wallet.pk, till.member)
        return till.place(name, wanted, least=least, bounds=bounds)

    # Thrice, and ends twice: of two dozen rules, chosen alike, these make the others worth trying.
    place = PLACING(_place)
    place_another = PLACING(_place)
    place_a_third = PLACING(_place)

    @rule(which=picks, amount=amounts)
    def extend(self, which: int, amount: int) -> None:
        request = self.pick(which, lambda r: r.is_started and not r.is_orphan and r.is_open)
        if request is None or request.told is not None:
            return
        try:
            request.till.extend(request.name, amount)
        except WalletRecovering:
            assert self.is_closed
        else:
            request.progress = max(request.progress or 0, amount)

    def _end(self, which: int, amount: int, is_lost: bool) -> None:
        """End a request, or one that the worker had given up: the journal first, then Redis."""
        request = self.pick(which, lambda r: r.is_started and not r.is_orphan and r.told is None)
        if request is None or request.is_voided:
            return
        request.told = amount
        facts, settlement = request.till.facts(request.name), request.till.settlement(amount)
        self.world.journal.end(facts, settlement)
        if not is_lost:
            self.settle(request, amount)

    end = ENDING(_end)
    end_another = ENDING(_end)

    @rule(which=picks, lower=st.integers(0, 60))
    def settle_again(self, which: int, lower: int) -> None:
        """Retry, duplicate or reorder an end."""
        request = self.pick(which, lambda r: r.told is not None and not r.is_orphan)
        if request is not None and request.told is not None:
            self.settle(request, max(request.told - lower, 0) if request.target else request.told)

    def settle(self, request: Request, amount: int) -> None:
        before = self.available(request.till)
        try:
            settled = request.till.settle(request.name, amount)
        except WalletRecovering:
            assert self.is_closed
            return
        except UnknownHold:
            # Its register is gone with Redis' data or was never there: PostgreSQL knows, or the
            # journal does.
            assert request.was_let_go or request.target is not None
            return
        target = max(request.target or 0, amount)
        if request.is_open:
            free = before + request.held - min(target, request.held)
            expected = min(target, request.held + max(free, 0)) if target > request.held else target
        elif target > (request.target or 0):
            expected = request.charged + min(target - request.charged, before)
        else:
            expected = request.charged
        assert settled.charged_credits == expected
        request.target, request.charged = target, settled.charged_credits
        assert settled.available_credits == self.available(request.till)

    @rule(which=picks, is_lost=st.booleans())
    def void(self, which: int, is_lost: bool) -> None:
        request = self.pick(which, lambda r: r.is_started and not r.is_orphan and r.is_open)
        if request is None or request.told is not None or request.progress is not None:
            return
        self.world.journal.void(request.till.facts(request.name))
        if is_lost:
            # Somebody else releases it: a rebuild, the reaper or whoever adopts the journal.
            request.is_orphan = True
            return
        try:
            request.till.void(request.name)
        except WalletRecovering:
            assert self.is_closed
            request.is_orphan = True
        else:
            request.is_voided = True

    @rule()
    def die(self) -> None:
        """The web process is killed; its requests are the worker's now."""
        self.world.replace_process()
        for request in self.requests:
            request.is_orphan = True

    @rule()
    def rotate(self) -> None:
        journal = self.world.journal
        usual, journal.rotate_bytes = journal.rotate_bytes, 1
        journal.rotate_if_due()
        journal.rotate_bytes = usual

    # --- What the worker does -----------------------------------------------------------------

    @rule(count=st.integers(1, 4), acknowledges=st.booleans())
    def drain_some(self, count: int, acknowledges: bool) -> None:
        """A worker books a few events and dies: before it acknowledges them, or right after."""
        # Each look at a shard asks for its status first.
        moment, nth = ("tp_status", 2) if acknowledges else ("tp_ack", 1)
        with suppress(Death), before_command(moment, die, nth=nth):
            self.unless_closed(partial(drains.drain, batch=count))
        self.after_booking()

    @rule()
    def drain_all(self) -> None:
        self.unless_closed(drains.drain)
        self.after_booking()

    @rule()
    def push(self) -> None:
        if self.unless_closed(push_due) is not None:
            for account in self.accounts.values():
                account.is_behind = False

    @rule()
    def load_the_rest(self) -> None:
        self.unless_closed(load_rest)

    @rule(which=picks)
    def reap_one(self, which: int) -> None:
        request = self.pick(which, lambda r: r.is_open)
        if request is None or self.is_closed:
            return
        self.world.end_lease(request.till, request.name)
        reap()
        self.resync(after_loss=False)

    @rule()
    def adopt(self) -> None:
        self.unless_closed(adopt_journals)
        if not self.is_closed:
            self.resync(after_loss=False)

    # --- What happens to Redis ----------------------------------------------------------------

    @rule()
    def back_up(self) -> None:
        if not self.is_closed:
            self.world.back_up()

    @rule()
    def upgrade(self) -> None:
        """A worker of another release replaces the library: what was open, and that alone, is."""
        self.world.upgrade_library()

    @precondition(lambda self: not self.is_closed)
    @rule(fault=st.sampled_from(["restart", "flush", "rewind"]), recovers=st.booleans())
    def lose_redis(self, fault: str, recovers: bool) -> None:
        {
            "restart": self.world.restart_redis,
            "flush": self.world.flush_redis,
            "rewind": self.world.rewind_redis,
        }[fault]()
        self.is_closed = True
        if recovers:
            self.rebuild()

    @precondition(lambda self: self.is_closed)
    @rule(dies_after=st.integers(0, 40))
    def rebuild_half(self, dies_after: int) -> None:
        """A rebuild dies after so many steps, at the latest before it opens a shard."""
        steps = 3 + dies_after
        with (
            suppress(Death),
            before_command("tp_open", die),
            before_command("FCALL", die, nth=steps),
        ):
            recover(grace_s=0, batch=1)

    @precondition(lambda self: self.is_closed)
    @rule(reaps=st.booleans())
    def rebuild(self, reaps: bool = True) -> None:
        recover(grace_s=0)
        self.is_closed = False
        for account in self.accounts.values():
            account.is_behind = False
        for request in self.requests:
            if not request.is_started:
                request.is_voided = True
        if reaps:
            reap()
        self.resync(after_loss=True)

    # --- What must hold -----------------------------------------------------------------------

    @invariant()
    def redis_adds_up(self) -> None:
        if self.is_closed:
            return
        for till in self.tills:
            figures = self.world.figures(till)
            if figures is None:
                continue
            assert figures.available >= 0
            assert figures.pend == sum(event.delta for event in figures.events)
            assert figures.held == sum(amount for amount, _ in figures.holds.values())
            if not self.accounts[till.wallet.pk].is_behind:
                assert figures.available == self.available(till)
            # Each key is one member's; all keys of a wallet count together what it does.
            of_keys = [other.figures() for other in self.tills_of(till)]
            assert sum(of_key.held_credits for of_key in of_keys) == figures.held
            assert sum(of_key.open_requests for of_key in of_keys) == len(figures.holds)
            for of_key in of_keys:
                assert of_key.month_held_credits + of_key.month_spent_credits == (
                    of_key.held_credits + of_key.spent_credits
                )
            if self.world.counts(till):
                mine = [other.figures() for other in self.tills_of(till) if is_one(other, till)]
                assert till.inquire(count=0).member == KeyFigures(
                    *(sum(getattr(one, f.name) for one in mine) for f in fields(KeyFigures))
                )

    @invariant()
    def books_add_up(self) -> None:
        if self.books_changed:
            self.books_changed = False
            assert self.world.broken_books() == []

    @invariant()
    def steps_are_counted(self) -> None:
        self.steps += 1

    def teardown(self) -> None:
        type(self).whole_runs += self.steps >= STEPS
        try:
            self.finish()
        finally:
            self.world.close()

    def finish(self) -> None:
        """Let everything come to rest, and look at what each request was charged."""
        if self.is_closed:
            self.rebuild()
        self.world.replace_process()
        for _ in range(3):
            push_due()
            decide_open()
            adopt_journals()
            for request in self.requests:
                self.world.end_lease(request.till, request.name)
            reap()
            pay_debts()
            drains.drain()
        push_due()
        self.resync(after_loss=False)
        owing = Wallet.objects.filter(debt_credits__gt=0)
        assert list(owing.filter(posted_credits__gt=0)) == []
        assert audit(at_rest=True) == []
        records = {record.request_id: record for record in UsageRecord.objects.all()}
        for request in self.requests:
            self.check_receipt(request, records.pop(request.name, None))
        assert records == {}
        assert list(self.folder.glob("*")) == [self.folder / _only_name(self.folder)]

    def check_receipt(self, request: Request, record: UsageRecord | None) -> None:
        if record is None:
            assert request.told is None
            assert request.is_voided or not request.is_started or request.is_orphan
            return
        assert request.is_started
        assert record.target_credits <= request.cost
        assert record.target_credits >= (request.told or 0)
        assert record.charged_credits + record.write_off_credits == record.target_credits
        if not request.was_let_go and not self.account(request).had_hold_reaped:
            assert record.charged_credits >= min(record.target_credits, request.held)

    # --- The model ----------------------------------------------------------------------------

    def till(self, who: int) -> Till:
        return self.tills[who % len(self.tills)]

    def tills_of(self, till: Till) -> list[Till]:
        """Return every till of the same wallet."""
        return [other for other in self.tills if other.wallet.pk == till.wallet.pk]

    def used_by_member(self, till: Till) -> int:
        """What the member holds and was charged, by the model."""
        mine = [request for request in self.requests if is_one(request.till, till)]
        return sum(r.charged + (r.held if r.is_open else 0) for r in mine)

    def account(self, request: Request) -> Account:
        return self.accounts[request.till.wallet.pk]

    def pick(self, which: int, fits: Any) -> Request | None:
        fitting = [request for request in self.requests if fits(request)]
        return fitting[which % len(fitting)] if fitting else None

    def available(self, till: Till) -> int:
        """What a new hold could take, by the model."""
        mine = [r for r in self.requests if r.till.wallet.pk == till.wallet.pk]
        account = self.accounts[till.wallet.pk]
        held = sum(request.held for request in mine if request.is_open)
        credited = self.known_credits(till) if account.is_behind else account.credited
        return credited - account.debited - held - sum(r.charged for r in mine)

    def known_credits(self, till: Till) -> int:
        """What Redis has heard of, or will once it loads the wallet."""
        if self.world.figures(till) is None:
            return Wallet.objects.get(pk=till.wallet.pk).credited_credits
        return int(self.world.client.redis.hget(keys.wallet(till.wallet.pk), "credited"))

    def unless_closed(self, sweep: Any) -> Any:
        try:
            return sweep()
        except WalletRecovering:
            assert self.is_closed
            return None

    def after_booking(self) -> None:
        self.books_changed = True
        for till in self.tills:
            account = self.accounts[till.wallet.pk]
            account.debt = Wallet.objects.get(pk=till.wallet.pk).debt_credits
        if self.is_closed:
            return
        for till in self.tills:
            # A debt is pushed like a credit.
            account = self.accounts[till.wallet.pk]
            if self.known_credits(till) == account.credited:
                account.is_behind = False

    def sync_debits(self) -> None:
        """Learn what Redis took of debits: what it booked, and what waits in the stream."""
        if self.is_closed:
            return
        for till in self.tills:
            figures = self.world.figures(till)
            booked = Debit.objects.filter(wallet=till.wallet).exclude(booked_at=None)
            taken = {f"debit:{d.pk}": d.taken_credits or 0 for d in booked}
            for event in figures.events if figures else []:
                if not event.is_usage:
                    taken[event.reference] = event.charged
            self.accounts[till.wallet.pk].debited = sum(taken.values())
            assert figures is None or figures.available >= 0

    def resync(self, *, after_loss: bool) -> None:
        """Learn what became of requests that the worker ended, and check that it was right."""
        self.sync_debits()
        known = self.settled()
        for till in self.tills:
            figures = self.world.figures(till)
            holds = figures.holds if figures else {}
            for request in [r for r in self.requests if r.till is till]:
                self.learn(request, known.get(request.name), holds.get(request.name), after_loss)

    def settled(self) -> dict[str, tuple[int, int]]:
        """What is booked or waits to be: target and charge of each request."""
        known = {
            record.request_id: (record.target_credits, record.charged_credits)
            for record in UsageRecord.objects.all()
        }
        for till in self.tills:
            figures = self.world.figures(till)
            for event in figures.events if figures else []:
                if event.is_usage:
                    target, charged = known.get(event.reference, (0, 0))
                    known[event.reference] = (
                        max(target, event.target),
                        max(charged, event.charged),
                    )
        return known

    def learn(
        self,
        request: Request,
        settled: tuple[int, int] | None,
        hold: tuple[int, int] | None,
        after_loss: bool,
    ) -> None:
        if settled is not None:
            target, charged = settled
            assert charged <= target <= request.cost
            if request.told is None or target < request.told:
                request.was_let_go = True
                self.account(request).had_hold_reaped = True
            request.target, request.charged, request.is_voided = target, charged, False
            return
        if hold is not None:
            amount, _ = hold
            if request.told is None and not self.account(request).had_hold_reaped:
                assert amount == request.held
            request.held, request.target, request.charged = amount, None, 0
            request.is_voided = False
            return
        # Neither charged nor held: only right if nobody may expect it to be.
        assert request.told is None
        if not after_loss:
            assert request.is_voided or request.is_orphan or not request.is_started
        else:
            assert request.is_voided or request.is_orphan
        request.is_voided = True
        request.target, request.charged = None, 0


def is_one(till: Till, other: Till) -> bool:
    """Tell whether two tills are of one member of one wallet."""
    return (till.wallet.pk, till.member) == (other.wallet.pk, other.member)


def _only_name(folder: Path) -> str:
    (path,) = folder.glob("*")
    return path.name


@pytest.fixture
def machine(
    alice: User, bob: User, journal_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> type[MoneyMachine]:
    journal_dir.mkdir()
    # The other fourteen shards would be empty, and every sweep would ask each.
    monkeypatch.setattr(keys, "SHARDS", 2)

    bobs_seat = join(own_team(alice), bob, Role.DEVELOPER)

    class Ready(MoneyMachine):
        tills = [Till(alice), Till(bob), Till(alice), Till(alice, seat=bobs_seat)]
        folder = journal_dir

    return Ready


@pytest.fixture
def silence() -> Iterator[None]:
    """Every death is logged; here there are thousands."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("silence")
@pytest.mark.timeout(36_000)
def test_nothing_breaks_the_money(machine: type[MoneyMachine]) -> None:
    for _ in range(ROUNDS):
        if machine.whole_runs >= WHOLE_RUNS:
            break
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(WHOLE_RUNS - machine.whole_runs, BATCH),
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                print_blob=True,
                phases=[Phase.generate, Phase.shrink],
            ),
        )

    assert machine.whole_runs >= WHOLE_RUNS
