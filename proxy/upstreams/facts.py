"""What is told of each model: as staff entered it, or as its maker's names are known."""

from collections import defaultdict
from collections.abc import Sequence

from billing.catalogue.on_sale import Facts
from billing.models import PublicModel
from proxy.metering.bounds import Reader
from proxy.metering.known_models import find_abilities
from proxy.models import Route


def read_facts() -> dict[str, Facts]:
    """Return the facts of each model that has a route, by its public name."""
    routes: dict[PublicModel, list[Route]] = defaultdict(list)
    active = Route.objects.filter(is_active=True, provider__is_active=True)
    for route in active.select_related("model", "provider"):
        routes[route.model].append(route)
    return {model.name: _facts(model, found) for model, found in routes.items()}


def _facts(model: PublicModel, routes: list[Route]) -> Facts:
    upstream_names = [route.upstream_model for route in routes]
    reader = Reader.of(
        model.name,
        upstream_names,
        context_tokens=model.context_tokens,
        tokens_per_100_bytes=model.tokens_per_100_bytes,
    )
    named = {route.provider.name for route in routes if route.provider.is_named}
    return Facts(
        context_tokens=reader.context_tokens,
        abilities=abilities_of(model, upstream_names),
        providers=tuple(sorted(named)),
    )


def abilities_of(model: PublicModel, upstream_names: Sequence[str]) -> frozenset[str]:
    """Return what a model can do: as staff entered it, else what its routes' names tell of all."""
    # Whichever route serves a request, it must be able to.
    told = frozenset.intersection(*map(find_abilities, upstream_names))
    return frozenset(model.abilities) or told
