"""The site. Celery's app is made here, so that a web process sends tasks to the right broker."""

from tokenproxy_site.celery import app as celery_app

__all__ = ["celery_app"]
