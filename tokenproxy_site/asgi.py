"""The web process: /v1/ goes to the API's own handler, everything else to Django's.

The lifespan opens what API requests share and, at its end, waits for their streams. uvicorn's
`--timeout-graceful-shutdown` must be well above DRAIN_TIMEOUT_S: it cancels streams, and only then
tells the application.
"""

import os

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
django.setup()

from tokenproxy_site.application import Application  # noqa: E402  # needs Django set up
from tokenproxy_site.logs import (  # noqa: E402  # needs Django set up
    begin_to_report,
    complain_in_lines,
)

complain_in_lines()
begin_to_report()
application = Application(get_asgi_application())
