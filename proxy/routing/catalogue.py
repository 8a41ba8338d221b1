"""The models on sale with their rates and routes, as one immutable snapshot per process.

Read from PostgreSQL every few seconds in the background; a request looks at memory alone.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from django.conf import settings

from billing.models import PublicModel
from billing.pricing import Rates
from billing.services.prices import current_prices
from proxy.crypto import InvalidToken, decrypt_secret
from proxy.database import in_database
from proxy.exceptions import BooksUnavailable, ModelNotFound
from proxy.models import Provider, ProviderKey, Route
from proxy.parsing.chat import DEFAULT_TEMPERATURE

log = structlog.get_logger(__name__)

# A name that is not in the snapshot may have been added since: look, but not more often.
LEAST_AGE_S = 1.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider as requests are sent to it. The secrets are its active keys."""

    name: str
    base_url: str
    secrets: tuple[str, ...]
    bills_after_cancel: bool
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    total_timeout_s: float

    def __repr__(self) -> str:
        """Show the name alone: a traceback must not print a key."""
        return f"Upstream({self.name!r})"


@dataclass(frozen=True, slots=True)
class UpstreamRoute:
    """One way to serve a model."""

    upstream: Upstream
    upstream_model: str
    priority: int
    weight: int


@dataclass(frozen=True, slots=True)
class Model:
    """A public model that can be called: it has a price and a route."""

    name: str
    owned_by: str
    created_at_s: int
    default_max_tokens: int
    default_temperature: float | None
    rates: Rates
    routes: tuple[UpstreamRoute, ...]


class Catalogue:
    """The present snapshot, and what keeps it present."""

    def __init__(self) -> None:
        self._models: Mapping[str, Model] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._is_read = asyncio.Event()

    @property
    def is_read(self) -> bool:
        """Whether PostgreSQL was asked at least once; until then there is no snapshot."""
        return self._is_read.is_set()

    async def wait_read(self) -> None:
        """Wait for the first snapshot. `keep_fresh` must run."""
        await self._is_read.wait()

    @property
    def models(self) -> Mapping[str, Model]:
        """Every callable model by its public name, in the shop's order. Raises BooksUnavailable."""
        if not self.is_read:
            raise BooksUnavailable
        return self._models

    async def get_model(self, name: str) -> Model:
        """Return a callable model. Raises ModelNotFound."""
        model = self._models.get(name)
        if model is None and time.monotonic() - self._read_at > LEAST_AGE_S:
            await self.refresh()
            model = self._models.get(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    async def refresh(self) -> None:
        """Read the catalogue anew. Many who ask at once share one reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def keep_fresh(self) -> None:
        """Refresh for as long as the process lives. A database that is away leaves the old one."""
        while True:
            try:
                await self.refresh()
            except Exception:  # whatever it is, the next round may do better
                log.warning("catalogue_not_refreshed", exc_info=True)
            await asyncio.sleep(settings.CATALOGUE_REFRESH_S)

    async def _read(self) -> None:
        self._models = await in_database(load_models)
        self._read_at = time.monotonic()
        self._is_read.set()


def load_models() -> dict[str, Model]:
    """Read every model that has a price, an active route, and a key to use it with."""
    prices = current_prices()
    routes = load_routes()
    return {
        model.name: Model(
            name=model.name,
            owned_by=model.owned_by,
            created_at_s=int(model.created_at.timestamp()),
            default_max_tokens=model.default_max_tokens,
            default_temperature=DEFAULT_TEMPERATURE if model.has_default_temperature else None,
            rates=prices[model.name],
            routes=tuple(routes[model.pk]),
        )
        for model in PublicModel.objects.filter(is_active=True)
        if model.name in prices and model.pk in routes
    }


def load_routes() -> dict[int, list[UpstreamRoute]]:
    """Read the active routes of active providers that have a key, by model."""
    upstreams = load_upstreams()
    routes: dict[int, list[UpstreamRoute]] = {}
    for route in Route.objects.filter(is_active=True, provider__in=list(upstreams)):
        routes.setdefault(route.model_id, []).append(
            UpstreamRoute(
                upstream=upstreams[route.provider_id],
                upstream_model=route.upstream_model,
                priority=route.priority,
                weight=route.weight,
            )
        )
    return routes


def load_upstreams() -> dict[int, Upstream]:
    """Read the active providers that have at least one active key."""
    secrets: dict[int, list[str]] = {}
    for key in ProviderKey.objects.filter(is_active=True, provider__is_active=True):
        try:
            secrets.setdefault(key.provider_id, []).append(
                decrypt_secret(bytes(key.encrypted_secret))
            )
        except InvalidToken:
            log.error("provider_key_not_decrypted", provider_id=key.provider_id, key_id=key.pk)
    return {
        provider.pk: to_upstream(provider, secrets[provider.pk])
        for provider in Provider.objects.filter(pk__in=list(secrets))
        if secrets[provider.pk]
    }


def to_upstream(provider: Provider, secrets: list[str]) -> Upstream:
    """Return a provider as requests are sent to it."""
    return Upstream(
        name=provider.name,
        base_url=provider.base_url.rstrip("/"),
        secrets=tuple(secrets),
        bills_after_cancel=provider.bills_after_cancel,
        connect_timeout_s=provider.connect_timeout_s,
        first_byte_timeout_s=provider.first_byte_timeout_s,
        idle_timeout_s=provider.idle_timeout_s,
        total_timeout_s=provider.total_timeout_s,
    )
