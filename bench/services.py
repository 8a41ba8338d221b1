"""PostgreSQL, Valkey and a migrated site of a measurement's own, gone when it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.pytest_plugin import SERVICES_HOME, open_folder, set_defaults, start_postgres
from devstack.valkey import Valkey


@contextmanager
def own_services() -> Iterator[Valkey]:
    """Start both with durable settings, set up Django and migrate. Ignores what the caller set."""
    services = open_folder(SERVICES_HOME)
    try:
        services.postgres = start_postgres(services.folder, SERVICES_HOME)
        services.valkey = valkey = Valkey(services.folder / "valkey")
        os.environ["DATABASE_URL"] = services.postgres.url
        os.environ["REDIS_URL"] = valkey.start()
        os.environ["CELERY_BROKER_URL"] = valkey.broker_url
        os.environ["DJANGO_SETTINGS_MODULE"] = "tokenproxy_site.settings"
        os.environ["LOG_LEVEL"] = "ERROR"
        set_defaults(services.folder)
        _set_up_django()
        yield valkey
    finally:
        services.stop()


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
