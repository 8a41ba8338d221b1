"""The site: settings, addresses, processes. It knows the apps through urls and settings only."""

from tokenproxy_site.celery import app as celery_app

# Celery's shared tasks find their application through this name.
__all__ = ["celery_app"]
