"""Providers, their keys, and the routes of models to them, as staff set them up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction

from billing.catalogue.model_prices import set_price
from billing.catalogue.pricing import MILLICREDITS
from billing.models import PublicModel
from common.encryption import InvalidToken, decrypt_secret, encrypt_secret
from proxy.errors import InvalidAddress, InvalidProvider
from proxy.metering.known_models import thinks_first
from proxy.models import Provider, ProviderAccount, ProviderKey, Route
from proxy.parsing.origins import origin_of
from proxy.upstreams.addresses import check_base_url
from proxy.upstreams.ejection import take_back_key

HINT_CHARS = 4


@dataclass
class Changes:
    """What setting up a provider has changed, in words; empty if nothing."""

    provider: Provider
    lines: list[str] = field(default_factory=list)


@transaction.atomic
def set_up_provider(
    name: str,
    *,
    base_url: str,
    secret: str,
    models: Mapping[str, str],
    has_default_price: bool = False,
    context_tokens: int | None = None,
) -> Changes:
    """Create a provider with one key and its routes, or update it. Safe to repeat.

    `models` maps public names to the provider's. With `has_default_price`, models that have no
    price get one credit per prompt and completion token. `context_tokens`, if given, is what each
    of the models reads at most. Raises InvalidProvider.
    """
    if not models:
        raise InvalidProvider("Name at least one model.")
    try:
        checked_url = check_base_url(base_url)
    except InvalidAddress as error:
        raise InvalidProvider(str(error)) from error
    changes = _set_provider(name, checked_url)
    _set_key(changes, secret)
    for public_name, upstream_model in models.items():
        model = _set_route(changes, public_name, upstream_model)
        if context_tokens is not None and model.context_tokens != context_tokens:
            _set_context(changes, model, context_tokens)
        if has_default_price and not model.prices.exists():
            _set_default_price(changes, model)
    return changes


def _set_provider(name: str, base_url: str) -> Changes:
    provider = Provider.objects.select_for_update().filter(name=name).first()
    if provider is None:
        provider = Provider(name=name, base_url=base_url)
        changes = Changes(provider, [f"created provider {name}"])
    else:
        changes = Changes(provider)
        if provider.base_url != base_url:
            changes.lines.append(f"changed the base URL of {name}")
        if not provider.is_active:
            changes.lines.append(f"activated {name}")
    provider.base_url, provider.is_active = base_url, True
    _check(provider)
    provider.save()
    return changes


def add_key(provider: Provider, secret: str, *, priority: int = 0, weight: int = 1) -> ProviderKey:
    """Give a provider one more key. Raises InvalidProvider, also if it has that key already.

    A key that was entered for another host is entered anew.
    """
    _check_secret(secret)
    known = next((key for key in provider.keys.all() if _is_secret(key, secret)), None)
    if known is not None and known.is_for(provider.base_url):
        raise InvalidProvider(f"{provider.name} has this key already.")
    key = known or ProviderKey(provider=provider)
    enter_secret(key, secret)
    key.priority, key.weight = priority, weight
    _check(key)
    key.save()
    return key


def enter_secret(key: ProviderKey | ProviderAccount, secret: str) -> None:
    """Set a key's secret, for its provider's present host. Does not save."""
    key.encrypted_secret, key.hint = encrypt_secret(secret), hint_of(secret)
    key.origin = origin_of(key.provider.base_url)
    if isinstance(key, ProviderKey):
        # A refusal was of the old secret.
        key.ejected_at, key.ejection_reason = None, ""


def hint_of(secret: str) -> str:
    """Return the part of a key that is shown; "" for a short key, of which it would reveal much."""
    return secret[-HINT_CHARS:] if len(secret) >= 4 * HINT_CHARS else ""


def _set_key(changes: Changes, secret: str) -> None:
    """Make this one of the provider's active keys.

    If it is active already, and was entered for the present host, the others stay. Otherwise they
    are switched off.
    """
    _check_secret(secret)
    provider = changes.provider
    active = list(provider.keys.filter(is_active=True))
    known = next((key for key in active if _is_secret(key, secret)), None)
    if known is not None and known.is_for(provider.base_url):
        if take_back_key(known):
            changes.lines.append(f"took the API key of {provider.name} back")
        return
    provider.keys.filter(is_active=True).update(is_active=False)
    key = known or ProviderKey(provider=provider)
    enter_secret(key, secret)
    key.is_active = True
    key.save()
    changes.lines.append(f"{'replaced' if active else 'added'} the API key of {provider.name}")


def _check_secret(secret: str) -> None:
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise InvalidProvider("The API key must be printable ASCII without spaces.")


def _is_secret(key: ProviderKey, secret: str) -> bool:
    try:
        return decrypt_secret(bytes(key.encrypted_secret)) == secret
    except InvalidToken:
        return False


def _set_route(changes: Changes, public_name: str, upstream_model: str) -> PublicModel:
    model = PublicModel.objects.filter(name=public_name).first()
    if model is None:
        model = PublicModel(name=public_name, is_reasoning=thinks_first(upstream_model))
        _check(model)
        model.save()
        changes.lines.append(f"created model {public_name}")
    route = Route(model=model, provider=changes.provider, upstream_model=upstream_model)
    if Route.objects.filter(
        model=model, provider=changes.provider, upstream_model=upstream_model, is_active=True
    ).exists():
        return model
    # The provider may have another name for the model now; a route with the old one goes.
    Route.objects.filter(model=model, provider=changes.provider).delete()
    _check(route)
    route.save()
    changes.lines.append(f"routed {public_name} to {upstream_model} at {changes.provider.name}")
    return model


def _set_context(changes: Changes, model: PublicModel, context_tokens: int) -> None:
    model.context_tokens = context_tokens
    _check(model)
    model.save(update_fields=["context_tokens"])
    changes.lines.append(f"set the context of {model.name} to {context_tokens:,} tokens")


def _set_default_price(changes: Changes, model: PublicModel) -> None:
    set_price(
        model,
        prompt_rate_millicredits=MILLICREDITS,
        cached_prompt_rate_millicredits=MILLICREDITS,
        completion_rate_millicredits=MILLICREDITS,
    )
    changes.lines.append(f"priced {model.name} at 1 credit per prompt and completion token")


def _check(row: Provider | PublicModel | Route | ProviderKey) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        raise InvalidProvider(" ".join(error.messages)) from error
