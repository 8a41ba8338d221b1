"""How much each model reads at most: as staff entered it, or as its maker's names are known."""

from collections import defaultdict

from proxy.metering.bounds import Reader
from proxy.models import Route


def read_contexts() -> dict[str, int | None]:
    """Return the most tokens that each model with a route reads, as `GET /v1/models` tells them."""
    routes = Route.objects.filter(is_active=True).select_related("model")
    upstream_names: dict[str, list[str]] = defaultdict(list)
    for route in routes:
        upstream_names[route.model.name].append(route.upstream_model)
    entered = {route.model.name: route.model for route in routes}
    return {
        name: Reader.of(
            name,
            upstream_names[name],
            context_tokens=model.context_tokens,
            tokens_per_100_bytes=model.tokens_per_100_bytes,
        ).context_tokens
        for name, model in entered.items()
    }
