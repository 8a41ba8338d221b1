"""Alice owns, Bob is another customer, Charlie has no account. Pages are asked for over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts.models import ApiKey, User
from accounts.teams.members import own_seat, own_team
from billing.catalogue.model_prices import set_price
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import wallet_of
from billing.models import ModelPrice, Order, Pack, PublicModel, UsageRecord
from tests.conftest import signed_in
from tests.stripe_sandbox import Sandbox, use_sandbox
from tests.teams import Crew, confirm, make_crew

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
# A key for all models, from everywhere.
ANYWHERE = {"models_scope": "all", "networks_scope": "all"}
HTMX = {"HX-Request": "true"}

MakeUsage = Callable[..., UsageRecord]
MakeOrder = Callable[..., Order]


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def as_bob(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def as_charlie(db: None) -> Client:
    return Client()


@pytest.fixture
def acme(alice: User) -> Crew:
    """A team of Alice's, with a member of each role."""
    # Invitations are counted in the cache.
    cache.clear()
    return make_crew("Acme", confirm(alice))


@pytest.fixture
def starter(db: None) -> Pack:
    """1,000,000 credits for $9.00, valid for 30 days."""
    return Pack.objects.create(
        name="Starter", slug="starter", credits=1_000_000, price_cents=900, validity_days=30
    )


@pytest.fixture
def gpt4(db: None) -> ModelPrice:
    """1 credit per prompt token, 0.5 per cached one, 2 per completion token."""
    return set_price(
        PublicModel.objects.create(name="gpt-4"),
        prompt_rate_millicredits=1_000,
        cached_prompt_rate_millicredits=500,
        completion_rate_millicredits=2_000,
    )


@pytest.fixture
def alices_key(alice: User) -> ApiKey:
    return issue_api_key(own_seat(alice), name="Alice's laptop")[0]


@pytest.fixture
def use(alice: User, alices_key: ApiKey, gpt4: ModelPrice) -> MakeUsage:
    """Book requests of Alice's: 1,204 prompt tokens, 1,024 of them cached, and 318 completion."""

    def make(request_id: str, **fields: Any) -> UsageRecord:
        values = {
            "prompt_tokens": 1_204,
            "cached_tokens": 1_024,
            "completion_tokens": 318,
            "reasoning_tokens": 0,
            "outcome": "completed",
            "source": "reported",
            "held_credits": 9_422,
            "target_credits": 1_328,
            "charged_credits": 1_328,
            "api_key": alices_key,
            "is_stream": False,
            "price": gpt4,
            "model_name": gpt4.model.name,
            "started_at": NOON,
            "ended_at": NOON + timedelta(seconds=2),
        }
        return UsageRecord.objects.create(
            request_id=request_id,
            wallet=wallet_of(alice),
            endpoint="/v1/chat/completions",
            **(values | fields),
        )

    return make


@pytest.fixture
def order(alice: User, starter: Pack) -> MakeOrder:
    """Orders of Alice's for the Starter pack."""

    def make(status: str = "open", **fields: Any) -> Order:
        values: dict[str, Any] = {
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            "stripe_session_id": "cs_test_alice",
            "stripe_session_url": "https://checkout.stripe.com/c/pay/cs_test_alice",
            "credits": starter.credits,
        }
        if status == "fulfilled":
            values["fulfilled_at"] = NOON
        return Order.objects.create(
            team=own_team(alice),
            buyer=alice,
            pack=starter,
            pack_name=starter.name,
            amount_cents=starter.price_cents,
            currency=starter.currency,
            validity_days=starter.validity_days,
            status=status,
            **(values | fields),
        )

    return make


@pytest.fixture
def stripe(stripe_process: Sandbox, settings: Settings, transactional_db: None) -> Sandbox:
    """The emulator, empty, and the site set up to use it. The test sees its own commits."""
    stripe_process.forget()
    use_sandbox(stripe_process, settings)
    return stripe_process


@pytest.fixture
def nowhere(settings: Settings) -> None:
    """Stripe can't be reached: nothing listens on this port."""
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
