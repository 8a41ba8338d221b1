"""The pages that sell: landing and packs; and what search engines may read."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from accounts.time_zones import zone_of
from billing.catalogue.custom_amounts import amount_offers
from billing.catalogue.on_sale import PricedModel, read_priced_models
from billing.catalogue.pack_prices import packs_on_sale
from billing.catalogue.promotions import PackOnSale, find_promotion_to_show
from billing.catalogue.worth import Estimate, estimate, example_receipt, showcase
from billing.rollups.published import Speed, read_speeds
from billing.views.forms import AmountForm, WorkloadForm
from billing.views.requests import HtmxRequest

PACKS_ON_LANDING = 3
MODELS_ON_LANDING = 6
MEASURED_ON_LANDING = 3


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what the product is, with one request and its receipt by today's price list."""
    models, on_sale, speeds = read_priced_models(), packs_on_sale(), read_speeds()
    context = {
        "promotion": find_promotion_to_show(),
        "zone": zone_of(request),
        "packs": on_sale[:PACKS_ON_LANDING],
        "priced": models[:MODELS_ON_LANDING],
        "sold": next((sold for sold in on_sale if sold.pack.is_highlighted), None)
        or next(iter(on_sale), None),
        # Nothing is told before enough was measured.
        "fastest": _fastest(models, speeds),
        "showcase": showcase(models),
        "receipt": example_receipt(models[0]) if models else None,
    }
    return render(request, "storefront/home.html", context)


def _fastest(models: list[PricedModel], speeds: dict[str, Speed]) -> list[tuple[str, Speed]]:
    """Return the models that begin to answer first, of those on sale that were measured."""
    measured = [
        (speed.first_byte_ms, name, speed)
        for name, speed in speeds.items()
        if speed.first_byte_ms is not None and any(each.model.name == name for each in models)
    ]
    return [(name, speed) for _, name, speed in sorted(measured, key=lambda each: each[:2])][
        :MEASURED_ON_LANDING
    ]


@require_safe
def packs(request: HtmxRequest) -> HttpResponse:
    """List the packs on sale, and reckon what a workload costs in each."""
    models, on_sale = read_priced_models(), packs_on_sale()
    form = WorkloadForm.of_query(models, request.GET)
    is_valid = form.is_valid()
    offers = amount_offers()
    amount_form = AmountForm(offers, request.GET) if offers else None
    is_valid = is_valid and (amount_form is None or amount_form.is_valid())
    context = {
        "promotion": find_promotion_to_show(),
        "zone": zone_of(request),
        "packs": on_sale,
        "showcase": showcase(models),
        "form": form,
        "estimate": _estimate(form, models, on_sale) if form.is_valid() else None,
        "offers": offers,
        "amount_form": amount_form,
    }
    # htmx leaves out an answer of 400, and with it the words that say what is wrong.
    status = 200 if is_valid or request.htmx else 400
    return render(request, "storefront/packs.html", context, status=status)


def _estimate(
    form: WorkloadForm, models: list[PricedModel], on_sale: list[PackOnSale]
) -> Estimate | None:
    name = form.cleaned_data["model"]
    return next(
        (
            estimate(each.rates, form.workload, on_sale)
            for each in models
            if each.model.name == name
        ),
        None,
    )


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Tell search engines which pages are nobody's but their reader's."""
    return render(request, "storefront/robots.txt", content_type="text/plain; charset=utf-8")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Show the icon where browsers and search engines look if a page names none."""
    return redirect(static("img/favicon.ico"))
