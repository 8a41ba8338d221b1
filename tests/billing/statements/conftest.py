"""A ledger whose entries are put where a test wants them in time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import ApiKey, User
from accounts.teams.members import first_owner
from billing.ledger.wallets import wallet_of
from billing.models import LedgerEntry, UsageRecord, Wallet
from tests.desk import make_model

MARCH = datetime(2026, 3, 2, 12, tzinfo=UTC)

Post = Callable[..., LedgerEntry]
Use = Callable[..., LedgerEntry]


@pytest.fixture
def wallet(alice: User, unchecked_books: None) -> Wallet:
    wallet = wallet_of(alice)
    Wallet.objects.filter(pk=wallet.pk).update(created_at=datetime(2026, 1, 15, tzinfo=UTC))
    wallet.refresh_from_db()
    return wallet


@pytest.fixture
def post(wallet: Wallet) -> Post:
    """Append an entry: `post("grant", 500, at=MARCH)`."""

    def append(kind: str, amount: int, *, at: datetime = MARCH, **fields: Any) -> LedgerEntry:
        number = LedgerEntry.objects.count()
        fields.setdefault("reference", f"{kind}-{number}")
        return LedgerEntry.objects.create(
            wallet=wallet,
            kind=kind,
            amount_credits=amount,
            balance_credits=10**9,
            created_at=at,
            **fields,
        )

    return append


@pytest.fixture
def use(wallet: Wallet, post: Post) -> Use:
    """Charge a request: `use("r1", 20, model="gpt-4", key="Laptop")`."""

    def charge(
        request_id: str,
        amount: int,
        *,
        model: str = "gpt-4",
        key: str = "Laptop",
        at: datetime = MARCH,
    ) -> LedgerEntry:
        api_key, _ = ApiKey.objects.get_or_create(
            team=wallet.team,
            name=key,
            defaults={
                "created_by": first_owner(wallet.team),
                "digest": f"{ApiKey.objects.count():064x}",
                "hint": "tp_live_Ab…xy",
            },
        )
        UsageRecord.objects.create(
            request_id=request_id,
            wallet=wallet,
            api_key=api_key,
            price=make_model().prices.get(),
            model_name=model,
            endpoint="chat.completions",
            is_stream=False,
            prompt_tokens=amount,
            cached_tokens=0,
            completion_tokens=0,
            reasoning_tokens=0,
            outcome="completed",
            source="reported",
            held_credits=amount,
            target_credits=amount,
            charged_credits=amount,
            started_at=at,
            ended_at=at,
        )
        return post("usage", -amount, at=at, reference=request_id)

    return charge
