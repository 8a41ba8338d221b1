"""Import an upstream's list of models.

A new model becomes a route that is switched off, to a model of the same name, which staff must
price before it can be called. A model that is no longer listed is marked; nothing is deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from billing.models import PublicModel
from billing.models.catalogue import MOST_TOKENS
from proxy.errors import NotAnswered, NotSynced
from proxy.metering.known_models import thinks_first
from proxy.models import Provider, Route
from proxy.upstreams.loading import to_key, to_upstream
from proxy.upstreams.providers.asking import ask

MAX_MODELS = 5_000
MAX_NAME_CHARS = 120
# Where lists tell how much a model reads: OpenRouter and Together, Groq, vLLM, Mistral.
CONTEXT_FIELDS = ("context_length", "context_window", "max_model_len", "max_context_length")


@dataclass(frozen=True, slots=True)
class Sync:
    """What differs between an upstream's list and our routes to it."""

    provider: Provider
    # Pairs of our name and the upstream's.
    new: list[tuple[str, str]] = field(default_factory=list)
    # What the upstream's list tells of how much a model reads, by its own name.
    contexts: dict[str, int] = field(default_factory=dict)
    vanished: list[Route] = field(default_factory=list)
    returned: list[Route] = field(default_factory=list)
    # Names that we can't use, with the reason.
    refused: list[tuple[str, str]] = field(default_factory=list)
    unchanged: int = 0

    def lines(self) -> list[str]:
        """Return one line of text for each model."""
        return [
            *(f"new: {public} → {upstream}" for public, upstream in self.new),
            *(f"vanished: {route.model} → {route.upstream_model}" for route in self.vanished),
            *(f"returned: {route.model} → {route.upstream_model}" for route in self.returned),
            *(f"refused: {name}: {reason}" for name, reason in self.refused),
            f"{len(self.new)} new, {len(self.vanished)} vanished, {len(self.returned)} returned,"
            f" {len(self.refused)} refused, {self.unchanged} as before",
        ]


def plan_sync(provider: Provider, *, prefix: str = "", only: Sequence[str] = ()) -> Sync:
    """Ask an upstream for its models and compare. Changes nothing. Raises NotSynced.

    `prefix` is put before the upstream's names to make ours; `only` are patterns such as gpt-4*
    for what is imported.
    """
    listed = list_models(provider)
    sync = Sync(provider)
    routes = list(provider.routes.select_related("model"))
    for route in routes:
        if route.upstream_model in listed:
            sync.returned.extend([route] if route.vanished_at else [])
        elif not route.vanished_at:
            sync.vanished.append(route)
    routed = {route.upstream_model for route in routes}
    for name in sorted(listed.keys() - routed):
        if only and not any(fnmatchcase(name, pattern) for pattern in only):
            continue
        reason = _find_objection(prefix + name)
        if reason:
            sync.refused.append((name[:MAX_NAME_CHARS], reason))
        else:
            sync.new.append((prefix + name, name))
    unchanged = len(routes) - len(sync.vanished) - len(sync.returned)
    return replace(sync, contexts=_known(listed), unchanged=unchanged)


@transaction.atomic
def apply_sync(sync: Sync, *, is_active: bool = False) -> None:
    """Apply a plan. Safe to repeat. New routes are switched on only with `is_active`.

    What the list tells of a new model is taken; a model that exists is staff's.
    """
    for public_name, upstream_model in sync.new:
        model, _ = PublicModel.objects.get_or_create(
            name=public_name,
            defaults={
                "context_tokens": sync.contexts.get(upstream_model),
                "is_reasoning": thinks_first(upstream_model),
            },
        )
        Route.objects.get_or_create(
            model=model,
            provider=sync.provider,
            upstream_model=upstream_model,
            defaults={"is_active": is_active},
        )
    _mark(sync.vanished, is_vanished=True)
    _mark(sync.returned, is_vanished=False)


def list_models(provider: Provider) -> dict[str, int | None]:
    """Ask an upstream for its models: by name, how much each reads, None if it does not say.

    Raises NotSynced.
    """
    rows = provider.keys.filter(is_active=True, ejected_at=None)
    upstream = to_upstream(provider, [key for row in rows if (key := to_key(row))])
    if upstream is None:
        raise NotSynced("Its address is not allowed; the log says why.")
    if not upstream.keys:
        raise NotSynced("The provider has no usable key that was entered for its host.")
    try:
        body = ask(upstream, "/models", upstream.keys[0].secret)
    except NotAnswered as error:
        raise NotSynced(f"The provider did not give its list: {error}") from error
    return _read_models(body)


def _read_models(body: Any) -> dict[str, int | None]:
    try:
        models = body["data"]
        names = [model["id"] for model in models]
    except (KeyError, TypeError) as error:
        raise NotSynced("The provider's list is not a list of models.") from error
    if len(names) > MAX_MODELS or not all(isinstance(name, str) and name for name in names):
        raise NotSynced(f"The provider's list must hold at most {MAX_MODELS:,} names.")
    # An empty list is taken for a fault, because it would mark every route.
    if not names:
        raise NotSynced("The provider's list is empty.")
    return {model["id"]: _read_context(model) for model in models}


def _read_context(model: dict[str, object]) -> int | None:
    """Return the largest context that an entry names, if it is one that we can hold."""
    told = [model.get(name) for name in CONTEXT_FIELDS]
    possible = [value for value in told if type(value) is int and 0 < value <= MOST_TOKENS]
    return max(possible, default=None)


def _known(listed: Mapping[str, int | None]) -> dict[str, int]:
    return {name: tokens for name, tokens in listed.items() if tokens is not None}


def _find_objection(name: str) -> str:
    """Return why a model can't have this name; "" if it can."""
    try:
        PublicModel(name=name).clean_fields(exclude=["created_at"])
    except ValidationError as error:
        return " ".join(chain.from_iterable(error.message_dict.values()))
    return ""


def _mark(routes: Sequence[Route], *, is_vanished: bool) -> None:
    marked = Route.objects.filter(pk__in=[route.pk for route in routes])
    marked.update(vanished_at=timezone.now() if is_vanished else None)
