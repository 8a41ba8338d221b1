"""The addresses that payments name, without the pages behind them."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from billing.webhook_urls import urlpatterns as webhook_urls


def page(request: HttpRequest, **_: str) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("billing/return/", page, name="checkout-return"),
    path("billing/cancelled/<uuid:public_id>/", page, name="checkout-cancel"),
    *webhook_urls,
]
