"""The models on sale with their rates and routes, as one immutable snapshot per process.

Read from PostgreSQL every few seconds in the background; requests read memory only. A planned price
is read before it starts, so every process has it in force from the same instant on.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog
from django.conf import settings

from billing.catalogue.model_prices import PlannedRates, read_schedules
from billing.catalogue.pack_prices import dearest_credit
from billing.catalogue.pricing import Rates
from billing.models import PublicModel
from proxy.database import PATIENCE_S, in_database
from proxy.errors import BooksUnavailable, EndpointNotServed, ModelNotFound
from proxy.metering.bounds import Reader
from proxy.parsing.chat import DEFAULT_TEMPERATURE
from proxy.upstreams.facts import abilities_of
from proxy.upstreams.loading import load_routes
from proxy.upstreams.routes import Upstream, UpstreamRoute

__all__ = ["Catalogue", "Model", "Upstream", "UpstreamRoute", "load_models"]

log = structlog.get_logger(__name__)

# An unknown name may have been added since, so it causes a reading, but at most one in this time.
LEAST_AGE_S = 1.0


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
    # How much may be read of a prompt.
    reader: Reader
    # Whether it may think, which is billed, before anything of its answer is seen.
    is_reasoning: bool = False
    # What it is known to be able to do, such as calling tools; nothing if nobody knows.
    abilities: frozenset[str] = frozenset()
    display_name: str = ""
    description: str = ""
    # What a credit costs at most in dollars; None if no pack is sold in them.
    dollars_per_credit: Decimal | None = None
    # What it costs later, the next one first.
    planned: tuple[PlannedRates, ...] = ()

    @property
    def changes_at_s(self) -> float:
        """Return when its next price starts, in seconds since 1970."""
        return self.planned[0].starts_at.timestamp() if self.planned else float("inf")

    def at(self, now_s: float) -> "Model":
        """Return the model with the price that is in force at an instant."""
        model = self
        while model.changes_at_s <= now_s:
            first, *later = model.planned
            model = replace(model, rates=first.rates, planned=tuple(later))
        return model

    def routes_for(self, path: str) -> tuple[UpstreamRoute, ...]:
        """Return the routes that take requests of a path. Raises EndpointNotServed."""
        routes = tuple(route for route in self.routes if route.serves(path))
        if not routes:
            raise EndpointNotServed(self.name, path)
        return routes


class Catalogue:
    """The present snapshot, and the task that refreshes it."""

    def __init__(self) -> None:
        self._models: Mapping[str, Model] = {}
        # When the next price of any of them starts, in seconds since 1970.
        self._changes_at_s = float("inf")
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
        return self._priced()

    async def get_model(self, name: str) -> Model:
        """Return a callable model. Raises ModelNotFound."""
        model = self._priced().get(name)
        if model is None and time.monotonic() - self._read_at > LEAST_AGE_S:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self.refresh()
            except TimeoutError as error:
                raise BooksUnavailable from error
            model = self._priced().get(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    async def refresh(self) -> None:
        """Read the catalogue anew. Simultaneous calls share one reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def keep_fresh(self) -> None:
        """Refresh for as long as the process lives. Without PostgreSQL the old snapshot stays."""
        while True:
            try:
                await self.refresh()
            except Exception:  # whatever it is, the next round may do better
                log.warning("catalogue_not_refreshed", exc_info=True)
            await asyncio.sleep(settings.CATALOGUE_REFRESH_S)

    async def _read(self) -> None:
        self._keep(await in_database(load_models))
        self._read_at = time.monotonic()
        self._is_read.set()

    def _keep(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._changes_at_s = min(
            (each.changes_at_s for each in models.values()), default=float("inf")
        )

    def _priced(self) -> Mapping[str, Model]:
        """Return the models with the prices in force, some of which may have just started."""
        now_s = time.time()
        if now_s >= self._changes_at_s:
            self._keep({name: each.at(now_s) for name, each in self._models.items()})
        return self._models


def load_models() -> dict[str, Model]:
    """Read every model that has a price, an active route, and a key to use it with."""
    schedules = read_schedules()
    routes = load_routes()
    dollars = dearest_credit("usd")
    return {
        model.name: Model(
            name=model.name,
            owned_by=model.owned_by,
            created_at_s=int(model.created_at.timestamp()),
            default_max_tokens=model.default_max_tokens,
            default_temperature=DEFAULT_TEMPERATURE if model.has_default_temperature else None,
            rates=schedules[model.name].rates,
            routes=tuple(routes[model.pk]),
            reader=Reader.of(
                model.name,
                [route.upstream_model for route in routes[model.pk]],
                context_tokens=model.context_tokens,
                tokens_per_100_bytes=model.tokens_per_100_bytes,
            ),
            is_reasoning=model.is_reasoning,
            abilities=abilities_of(model, [route.upstream_model for route in routes[model.pk]]),
            display_name=model.display_name,
            description=model.description,
            dollars_per_credit=dollars,
            planned=schedules[model.name].planned,
        )
        for model in PublicModel.objects.filter(is_active=True)
        if model.name in schedules and model.pk in routes
    }
