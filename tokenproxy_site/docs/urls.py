"""URLs of the documentation."""

from django.urls import path

from tokenproxy_site.docs import views

urlpatterns = [
    path("docs/", views.first, name="docs"),
    path("docs/search/", views.look, name="docs-search"),
    path("docs/<slug:slug>/", views.page, name="docs-page"),
    path("docs/<slug:slug>.md", views.markdown, name="docs-markdown"),
    path("api/docs/", views.reference, name="api-reference"),
    path("llms.txt", views.llms, name="llms"),
    path("llms-full.txt", views.llms_full, name="llms-full"),
]
