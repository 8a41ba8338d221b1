"""A wallet with all that surrounds it, for tests that add numbers up."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from django.db import connections

from accounts.models import ApiKey, Membership, User
from accounts.teams.members import own_seat
from billing.catalogue.model_prices import set_price
from billing.exceptions import WalletMissing
from billing.keys.api_keys import issue_api_key
from billing.ledger.loads import load_wallets
from billing.ledger.wallets import get_wallet, grant_credits
from billing.models import LedgerEntry, Lot, ModelPrice, PublicModel, UsageRecord, Wallet
from billing.upkeep import drain
from billing.upkeep.reaper import abandoned
from billing.wallet import keys
from billing.wallet.commands import ending, figures, placing, restoring
from billing.wallet.commands.command import parse_ok
from billing.wallet.commands.ending import Reaped, Settled
from billing.wallet.commands.figures import Balance, Inquiry
from billing.wallet.commands.placing import BacklogLimit, HoldRequest, Placed
from billing.wallet.journal import Journal
from billing.wallet.limits import NO_CAPS, Allowance, Caps, KeyFigures, Limits
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from billing.wallet.usage import RequestFacts, Settlement, month_of

R = TypeVar("R")

UNBOUND = Allowance(100_000, 1_000_000_000, 100_000)


def limits(
    key: dict[str, int] | None = None,
    wallet: dict[str, int] | None = None,
    *,
    lifetime: int | None = None,
    monthly: int | None = None,
    member: Caps = NO_CAPS,
) -> Limits:
    """Return limits that bind nobody, but for those that are given."""
    return Limits(
        replace(UNBOUND, **(key or {})),
        replace(UNBOUND, **(wallet or {})),
        lifetime_cap_credits=lifetime,
        monthly_cap_credits=monthly,
        member_caps=member,
    )


NO_LIMIT = BacklogLimit(1_000_000, 3_600_000)
NOW_MS = int(time.time() * 1_000)


def in_a_thread(function: Callable[[], R]) -> R:
    """Run with a database connection of its own, and give it back."""

    def run() -> R:
        try:
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def price_of_one() -> ModelPrice:
    """Return a model's price at one credit per token of any class."""
    model, _ = PublicModel.objects.get_or_create(name="gpt-4")
    return set_price(
        model,
        prompt_rate_millicredits=1_000,
        cached_prompt_rate_millicredits=1_000,
        completion_rate_millicredits=1_000,
    )


@dataclass
class Till:
    """Places and settles on one wallet, as a web process does."""

    user: User
    # Who made the key, in whose team; None: the user, in their own.
    seat: Membership | None = None
    # Whom its requests count for; None: who made the key.
    member_id: int | None = None
    wallet: Wallet = field(init=False)
    key: ApiKey = field(init=False)
    price: ModelPrice = field(init=False)
    client: SyncWalletClient = field(init=False)

    def __post_init__(self) -> None:
        seat = self.seat or own_seat(self.user)
        self.wallet = get_wallet(seat.team)
        self.key, _ = issue_api_key(seat, name="till")
        self.price = price_of_one()
        self.client = get_sync_client()

    @property
    def member(self) -> int:
        return self.key.created_by_id if self.member_id is None else self.member_id

    @property
    def shard(self) -> int:
        return keys.shard_of(self.wallet.pk)

    def grant(self, amount: int) -> LedgerEntry:
        return grant_credits(self.wallet, credits=amount, reason="test")

    def facts(self, request_id: str) -> RequestFacts:
        return RequestFacts(
            request_id=request_id,
            wallet_id=self.wallet.pk,
            api_key_id=self.key.pk,
            price_id=self.price.pk,
            model_name="gpt-4",
            endpoint="chat.completions",
            is_stream=False,
            started_at_ms=NOW_MS,
            member_id=self.member,
        )

    def hold_request(
        self,
        request_id: str,
        amount: int,
        *,
        least: int | None = None,
        bounds: Limits | None = None,
        tokens: int = 0,
        is_precounted: bool = False,
    ) -> HoldRequest:
        return HoldRequest(
            facts=self.facts(request_id),
            wallet_version=10**9,
            fixed_millicredits=0,
            unit_millicredits=1_000,
            units_wanted=amount,
            units_least=amount if least is None else least,
            fixed_tokens=tokens,
            unit_tokens=0,
            limits=bounds or limits(),
            is_precounted=is_precounted,
        )

    def start(self, request_id: str, amount: int, *, journal: Journal) -> None:
        """Place a hold and note it, as a request that calls its upstream next."""
        placed = self.place(request_id, amount)
        journal.start(self.facts(request_id), placed.held_credits)

    def ask(self, request_id: str, held: int, if_lost: int, *, journal: Journal) -> None:
        """Note that an upstream is sent a request, and what that costs if nobody ends it."""
        settlement = self.settlement(if_lost, outcome="abandoned", source="estimated")
        journal.ask(self.facts(request_id), held, settlement)

    def finish(self, request_id: str, amount: int, *, journal: Journal) -> Settled:
        """End a request: the journal first, then Redis."""
        journal.end(self.facts(request_id), self.settlement(amount))
        return self.settle(request_id, amount)

    def place(
        self,
        request_id: str,
        amount: int,
        *,
        least: int | None = None,
        lease_ms: int = 60_000,
        bounds: Limits | None = None,
        tokens: int = 0,
        is_precounted: bool = False,
    ) -> Placed:
        hold = self.hold_request(
            request_id,
            amount,
            least=least,
            bounds=bounds,
            tokens=tokens,
            is_precounted=is_precounted,
        )
        call = placing.place(hold, lease_ms=lease_ms, limit=NO_LIMIT)
        return self.loading(lambda: placing.parse_place(self.client.ask(call)))

    def loading(self, ask: Callable[[], R]) -> R:
        """Ask; if the wallet is not loaded, load it and ask again, as a web process does."""
        try:
            return ask()
        except WalletMissing:
            load_wallets([self.wallet.pk])
        return ask()

    def count_request(self, bounds: Limits | None = None, *, known_version: int = 10**9) -> None:
        call = placing.count_request(
            self.wallet.pk,
            self.key.pk,
            known_version=known_version,
            month=month_of(NOW_MS),
            limits=bounds or limits(),
        )
        self.loading(lambda: placing.parse_counted(self.client.ask(call)))

    def with_another_key(self) -> "Till":
        """Return a till on the same wallet with a key of its own."""
        return type(self)(self.user)

    def figures(self, month: int | None = None) -> KeyFigures:
        """Return what the key has open, holds and spent."""
        return self.inquire(month=month, count=0).figures

    def inquire(
        self, *, month: int | None = None, bounds: Limits | None = None, count: int = 1
    ) -> Inquiry:
        call = figures.inquire(
            self.wallet.pk,
            self.key.pk,
            known_version=10**9,
            month=month or month_of(NOW_MS),
            limits=bounds or limits(),
            member_id=self.member,
            count=count,
        )
        return self.loading(lambda: figures.parse_inquiry(self.client.ask(call)))

    def extend(self, request_id: str, amount: int, *, lease_ms: int = 60_000) -> None:
        progress = self.settlement(amount, outcome="abandoned", source="estimated")
        call = ending.extend(self.facts(request_id), progress, lease_ms=lease_ms)
        parse_ok(self.client.ask(call))

    def settle(self, request_id: str, amount: int, *, source: str = "reported") -> Settled:
        call = ending.settle(self.facts(request_id), self.settlement(amount, source=source))
        return ending.parse_settle(self.client.ask(call))

    def void(self, request_id: str) -> bool:
        return ending.parse_ended(self.client.ask(ending.void(self.facts(request_id))))

    def reap(self, request_id: str, *, is_dead: bool = False) -> Reaped:
        at_zero = abandoned(NOW_MS)
        call = ending.reap(self.wallet.pk, request_id, without_progress=at_zero, is_dead=is_dead)
        return ending.parse_reap(self.client.ask(call))

    @contextmanager
    def redis_away(self) -> Iterator[None]:
        """Close the wallet's shard, as while it is rebuilt. The caller opens it."""
        self.client.ask(restoring.close(self.shard))
        yield

    def settlement(
        self, amount: int, *, outcome: str = "completed", source: str = "reported"
    ) -> Settlement:
        return Settlement(
            target_credits=amount,
            outcome=outcome,
            source=source,
            prompt_tokens=0,
            cached_tokens=0,
            completion_tokens=amount,
            reasoning_tokens=0,
            provider_name="sandbox",
            attempts=1,
            ended_at_ms=NOW_MS + 1_000,
        )

    def drain(self) -> int:
        return drain.drain().booked

    def balance(self) -> Balance:
        return self.loading(lambda: self.client.read_balance(self.wallet.pk))

    def posted(self) -> int:
        return Wallet.objects.get(pk=self.wallet.pk).posted_credits

    def lots(self) -> list[int]:
        found = Lot.objects.filter(wallet=self.wallet).order_by("pk")
        return list(found.values_list("remaining_credits", flat=True))

    def open_requests(self) -> list[str]:
        """Return the requests that hold something in this wallet's shard."""
        return [name.decode() for name in self.client.redis.zrange(keys.leases(self.shard), 0, -1)]

    def receipt(self, request_id: str) -> UsageRecord:
        return UsageRecord.objects.get(request_id=request_id)
