"""Mails of incidents: subscribing on the status page, and what the links in mails lead to."""

from typing import Any

from allauth.core.internal import ratelimit
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from billing.catalogue.on_sale import read_priced_models
from billing.exceptions import SubscriptionsFull
from billing.notices.status.links import read_confirming_link, read_ending_link
from billing.notices.status.subscriptions import ask_for_mails, confirm, end_subscription
from billing.views.errors import too_many_requests

# The name of its limits in ACCOUNT_RATE_LIMITS.
LIMITS = "status_subscribe"


class SubscriptionForm(forms.Form):
    """Asks where mails of incidents go, and whether only those of some models are wanted."""

    email = forms.EmailField(
        label=_("Email address"),
        # As long as the column is.
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    models = forms.MultipleChoiceField(
        label=_("Only these models"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [each.model.name for each in read_priced_models()]
        choices = self.fields["models"]
        assert isinstance(choices, forms.MultipleChoiceField)  # noqa: S101 - tells the type checker
        choices.choices = [(name, name) for name in names]


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def subscribe(request: HttpRequest) -> HttpResponse:
    """Mail the link that starts a subscription. The answer is the same for any address."""
    form = SubscriptionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"].lower()
        if not ratelimit.consume(request, app="allauth.account", action=LIMITS, key=email):
            return too_many_requests(request)
        try:
            ask_for_mails(
                email, language=get_language() or "en", model_names=form.cleaned_data["models"]
            )
        except SubscriptionsFull:
            form.add_error(
                None, gettext("We take no more addresses at the moment. Please use the feed.")
            )
        else:
            return render(request, "storefront/subscription_asked.html", {"email": email})
    status = 400 if form.errors else 200
    return render(request, "storefront/subscribe.html", {"subscription": form}, status=status)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_subscription(request: HttpRequest, signed: str) -> HttpResponse:
    """Ask whether mails are wanted, and on POST start them."""
    wish = read_confirming_link(signed)
    row = confirm(wish) if wish and request.method == "POST" else None
    is_lost = wish is None or (request.method == "POST" and row is None)
    context = {"wish": wish, "subscription": row, "is_lost": is_lost}
    template = "storefront/subscription_confirm.html"
    return render(request, template, context, status=404 if is_lost else 200)


# A mail program posts here by itself (RFC 8058): no cookie is its right, the signature is.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, signed: str) -> HttpResponse:
    """Ask whether mails are to end, and on POST end them. One that has ended stays so."""
    subscription = read_ending_link(signed)
    if subscription and request.method == "POST":
        end_subscription(subscription)
    context = {"is_lost": subscription is None, "is_ended": request.method == "POST"}
    template = "storefront/unsubscribe.html"
    return render(request, template, context, status=404 if subscription is None else 200)
