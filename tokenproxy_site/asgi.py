"""The web process: /v1/ goes to the API's own handler, everything else to Django's."""

import os

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
django.setup()

application = get_asgi_application()
