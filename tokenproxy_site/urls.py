"""Addresses of the site. The /v1 API is mounted beside it, in asgi.py."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
