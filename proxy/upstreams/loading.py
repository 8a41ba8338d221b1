"""Read which routes and keys serve which model from the tables that staff edit."""

import structlog

from billing.catalogue.costs import Costs
from common.encryption import InvalidToken, decrypt_secret
from proxy.errors import InvalidAddress, InvalidRule
from proxy.models import Provider, ProviderKey, Route
from proxy.parsing.adapting import Adaptation
from proxy.parsing.extras import never_passes
from proxy.parsing.intake import Intake
from proxy.parsing.origins import origin_of
from proxy.parsing.telling import may_be_extra
from proxy.upstreams.addresses import check_base_url
from proxy.upstreams.routes import Upstream, UpstreamKey, UpstreamRoute

log = structlog.get_logger(__name__)


def load_routes() -> dict[int, list[UpstreamRoute]]:
    """Read the active routes of active providers that have a key, by model."""
    keys = load_keys()
    providers = Provider.objects.filter(is_active=True, pk__in=list(keys))
    upstreams = {
        provider.pk: upstream
        for provider in providers
        if (upstream := to_upstream(provider, keys[provider.pk])) is not None and upstream.keys
    }
    routes: dict[int, list[UpstreamRoute]] = {}
    active = Route.objects.filter(is_active=True, provider__in=list(upstreams))
    for row in active.select_related("provider"):
        route = to_route(row, upstreams[row.provider_id])
        if route is not None:
            routes.setdefault(row.model_id, []).append(route)
    return routes


def load_keys() -> dict[int, list[UpstreamKey]]:
    """Read the keys that may be used, by provider: switched on and not ejected.

    If all keys of a provider are ejected, they are used nevertheless, and spared after a refusal.
    """
    good: dict[int, list[UpstreamKey]] = {}
    ejected: dict[int, list[UpstreamKey]] = {}
    for row in ProviderKey.objects.filter(is_active=True, provider__is_active=True):
        key = to_key(row)
        if key is not None:
            found = good if row.ejected_at is None else ejected
            found.setdefault(row.provider_id, []).append(key)
    return {**ejected, **good}


def to_key(row: ProviderKey) -> UpstreamKey | None:
    """Return a key as requests carry it, or None if PROVIDER_KEYS_SECRET does not open it."""
    sealed = bytes(row.encrypted_secret)
    try:
        secret = decrypt_secret(sealed)
    except InvalidToken:
        log.error("provider_key_not_decrypted", provider_id=row.provider_id, key_id=row.pk)
        return None
    return UpstreamKey(
        row.pk, secret, sealed, priority=row.priority, weight=row.weight, origin=row.origin
    )


def to_upstream(provider: Provider, keys: list[UpstreamKey]) -> Upstream | None:
    """Return a provider as requests are sent to it, or None if its address is not allowed now.

    The address was checked when it was saved, but ALLOW_LOOPBACK_PROVIDERS may have changed. Keys
    that were entered for another host are left out.
    """
    try:
        base_url = check_base_url(provider.base_url)
    except InvalidAddress as error:
        log.error("provider_address_not_allowed", provider=provider.name, reason=str(error))
        return None
    return Upstream(
        id=provider.pk,
        name=provider.name,
        base_url=base_url,
        keys=tuple(key for key in keys if key.origin == origin_of(base_url)),
        bills_after_cancel=provider.bills_after_cancel,
        connect_timeout_s=provider.connect_timeout_s,
        first_byte_timeout_s=provider.first_byte_timeout_s,
        idle_timeout_s=provider.idle_timeout_s,
        total_timeout_s=provider.total_timeout_s,
        intake=to_intake(provider),
        # What a later version no longer lets pass is left out here, too.
        answer_fields=frozenset(filter(may_be_extra, provider.answer_fields)),
        is_paused=provider.paused_at is not None,
    )


def to_intake(provider: Provider) -> Intake:
    """Return what a provider takes of a request."""
    return Intake(
        # What a later version no longer lets pass is left out here, too.
        extras=frozenset(name for name in provider.request_extras if not never_passes(name)),
        customer_mark=provider.customer_mark,
        salts_caches=provider.salts_caches,
        takes_data_urls_only=provider.takes_data_urls_only,
    )


def to_route(row: Route, upstream: Upstream) -> UpstreamRoute | None:
    """Return a route as requests take it, or None if its rules can't be followed."""
    provider = row.provider
    try:
        adaptation = Adaptation.parse(
            [*provider.parameter_rules, *row.parameter_rules],
            reports_usage=provider.reports_usage,
        )
    except (InvalidRule, TypeError) as error:
        log.error("route_rules_not_understood", route_id=row.pk, reason=str(error))
        return None
    return UpstreamRoute(
        id=row.pk,
        upstream=upstream,
        upstream_model=row.upstream_model,
        priority=row.priority,
        weight=row.weight,
        endpoints=frozenset(row.endpoints),
        adaptation=adaptation,
        costs=Costs(
            prompt_micros=row.prompt_cost_micros,
            cached_prompt_micros=row.cached_prompt_cost_micros,
            completion_micros=row.completion_cost_micros,
        ),
        reasoning_beyond_maximum=row.reasoning_beyond_maximum,
    )
