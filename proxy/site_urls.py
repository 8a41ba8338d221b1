"""The pages of models, and the API's description for programs."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from proxy import views

urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/<path:name>/", views.model, name="model"),
    path("api/schema/", SpectacularJSONAPIView.as_view(urlconf="proxy.urls"), name="api-schema"),
]
