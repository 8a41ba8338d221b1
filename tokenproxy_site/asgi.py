"""The web process: /v1/ goes to the API's own handler, everything else to Django's.

The lifespan opens what the API shares. On a stop signal the API itself gives its streams
DRAIN_TIMEOUT_S to end. Run uvicorn with `--timeout-graceful-shutdown` at least 5 seconds above
that: below, it cancels streams before they have had their time; without, it waits for ever for a
client that has stopped reading.
"""

import os

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
django.setup()

from tokenproxy_site.application import Application  # noqa: E402  # needs Django set up

application = Application(get_asgi_application())
