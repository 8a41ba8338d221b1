"""The worker's application. Every task is a sweep: it may run twice, at once, late, or never.

Those that are due every few seconds each worker runs by its own clock; for all others beat asks by
messages.
"""

import os
from typing import Any

import structlog
from celery import Celery
from celery.apps import worker
from celery.signals import beat_init, celeryd_init
from kombu.transport import redis

from tokenproxy_site.logs import begin_to_report, complain_in_lines
from tokenproxy_site.sweep_clock import ClockStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")

app = Celery("tokenproxy", task_cls="tokenproxy_site.sweep_task:SweepTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# The site is no app of Django's.
app.autodiscover_tasks(["tokenproxy_site"])
app.steps["worker"].add(ClockStep)

# A message says that a sweep is due, and the next one says so again. So a worker does not give back
# what it had not begun: where its broker is gone, kombu fails at that, and the worker ends.
redis.Channel.do_restore = False

log = structlog.get_logger(__name__)


@celeryd_init.connect
@beat_init.connect
def log_in_lines(**_kwargs: Any) -> None:
    """Have all that this process says be lines of the log."""
    # Celery says that it was told to stop past all logging, in plain text.
    vars(worker)["safe_say"] = lambda message, *_: log.info("worker_told", message=message)
    complain_in_lines()
    begin_to_report()
