"""The addresses of /v1/. A model's id may contain slashes and colons."""

from django.urls import path

from proxy.api import views

urlpatterns = [
    path("v1/chat/completions", views.ChatCompletionsView.as_view()),
    path("v1/completions", views.CompletionsView.as_view()),
    path("v1/embeddings", views.EmbeddingsView.as_view()),
    path("v1/responses", views.ResponsesView.as_view()),
    path("v1/responses/input_tokens", views.InputTokensView.as_view()),
    path("v1/models", views.ModelsView.as_view()),
    path("v1/models/<path:name>", views.ModelView.as_view()),
    path("v1/usage/<str:request_id>", views.ReceiptView.as_view()),
    path("v1/estimate", views.EstimateView.as_view()),
    path("v1/checkout", views.CheckoutView.as_view()),
    path("v1/key", views.KeyView.as_view()),
    path("v1/credits", views.CreditsView.as_view()),
]
