"""The worker's application. Every task is a sweep: it may run twice, at once, late, or never."""

import os

from celery import Celery
from kombu.transport import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")

app = Celery("tokenproxy")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# The site is no app of Django's.
app.autodiscover_tasks(["tokenproxy_site"])

# A message says that a sweep is due, and the next one says so again. So a worker does not give back
# what it had not begun: where its broker is gone, kombu fails at that, and the worker ends.
redis.Channel.do_restore = False
