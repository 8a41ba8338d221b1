"""The embedded services, in one place to import from."""

from devstack.errors import LaunchError
from devstack.locks import IsLocked
from devstack.postgres import Postgres
from devstack.valkey import Valkey

__all__ = ["IsLocked", "LaunchError", "Postgres", "Valkey"]
