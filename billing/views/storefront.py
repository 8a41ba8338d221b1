"""The pages that sell: landing, packs, models."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.catalogue.on_sale import read_priced_models
from billing.catalogue.pack_prices import packs_on_sale


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what the product is, with one request and its receipt."""
    return render(request, "storefront/home.html", {"packs": packs_on_sale()[:3]})


@require_safe
def packs(request: HttpRequest) -> HttpResponse:
    """List the packs on sale."""
    return render(request, "storefront/packs.html", {"packs": packs_on_sale()})


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """List the models and what their tokens cost."""
    return render(request, "storefront/models.html", {"models": read_priced_models()})
