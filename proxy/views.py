"""The pages of models: what each reads, costs and takes, and how it has been doing."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from billing.catalogue.model_prices import read_history
from billing.catalogue.on_sale import read_priced_models
from billing.catalogue.pack_prices import packs_on_sale
from billing.rollups.published import read_speeds
from billing.views.forms import ModelFilterForm
from proxy.upstreams.facts import read_facts
from proxy.upstreams.providers.probe_costs import read_probe_latencies
from proxy.upstreams.service import read_histories


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """List the models and what their tokens cost, in money of a pack and in credits."""
    on_sale, priced = packs_on_sale(), read_priced_models(read_facts())
    form = ModelFilterForm.of_query(on_sale, priced, request.GET)
    is_valid = form.is_valid()
    slug = form.cleaned_data.get("pack")
    sold = next((sold for sold in on_sale if sold.pack.slug == slug), None)
    context = {
        "form": form,
        "knows_contexts": any(each.facts.context_tokens for each in priced),
        "knows_traits": any(each.traits for each in priced),
        "knows_providers": any(each.facts.providers for each in priced),
        "models": form.choose(priced, sold) if is_valid else [],
        "is_any_on_sale": bool(priced),
        "packs": on_sale,
        "sold": sold,
    }
    return render(request, "storefront/models.html", context, status=200 if is_valid else 400)


@require_safe
def model(request: HttpRequest, name: str) -> HttpResponse:
    """Show one model: how to call it, what it costs, and how it has been doing."""
    found = (each for each in read_priced_models(read_facts()) if each.model.name == name)
    priced = next(found, None)
    if priced is None:
        raise Http404("No such model.")
    [history] = read_histories([name])
    context = {
        "priced": priced,
        "packs": packs_on_sale(),
        "prices": read_history(priced.model),
        "history": history,
        "now": timezone.now(),
        "speed": read_speeds().get(name),
        "probe_ms": read_probe_latencies().get(name),
    }
    return render(request, "storefront/model.html", context)
