"""The API's description for programs."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

urlpatterns = [
    path("api/schema/", SpectacularJSONAPIView.as_view(urlconf="proxy.urls"), name="api-schema"),
]
