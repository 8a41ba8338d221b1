"""The API's description on the site: its schema, and pages to read it."""

from django.urls import path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularJSONAPIView

urlpatterns = [
    path("api/schema/", SpectacularJSONAPIView.as_view(urlconf="proxy.urls"), name="api-schema"),
    path(
        "api/docs/", TemplateView.as_view(template_name="docs/reference.html"), name="api-reference"
    ),
]
