"""A provider that is asked before the sandbox."""

from proxy.models import Provider, Route
from proxy.parsing.origins import origin_of
from tests.proxy.conftest import Sandbox, sell


def add_first(upstream: Sandbox, model: str, *, base_url: str | None = None) -> None:
    """Put a provider before the sandbox, which calls gpt-4 by the name of a fault."""
    sell(upstream, model, provider="first")
    first = Provider.objects.get(name="first")
    if base_url is not None:
        Provider.objects.filter(pk=first.pk).update(base_url=base_url)
        first.keys.update(origin=origin_of(base_url))
    gpt_4 = Route.objects.get(model__name="gpt-4", provider__name="sandbox")
    Route.objects.filter(pk=gpt_4.pk).update(priority=1)
    Route.objects.get_or_create(model=gpt_4.model, provider=first, upstream_model=model)
