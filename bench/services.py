"""PostgreSQL, Valkey and a migrated site of a measurement's own, gone when it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.postgres import Postgres
from devstack.pytest_plugin import SERVICES_HOME, open_folder, set_defaults
from devstack.template import copy_template
from devstack.valkey import Valkey


@contextmanager
def own_services(*, is_durable: bool = True) -> Iterator[Valkey]:
    """Start both as production does, set up Django and migrate. Ignores what the caller set.

    What is not durable is faster, for who does not measure.
    """
    services = open_folder(SERVICES_HOME)
    try:
        copy_template(SERVICES_HOME, to=services.folder / "postgres")
        services.postgres = Postgres(services.folder / "postgres", durable=is_durable)
        services.postgres.start()
        services.valkey = valkey = Valkey(services.folder / "valkey", durable=is_durable)
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
