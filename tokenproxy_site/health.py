"""Whether this process lives and whether the product is ready to serve."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from billing.upkeep.readiness import find_wallet_problem
from billing.upkeep.sightings import find_worker_problem


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process lives."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the product can serve, else 503 and what is missing."""
    problems = find_problems()
    status = 503 if problems else 200
    return JsonResponse({"status": "unready" if problems else "ok", **problems}, status=status)


def find_problems() -> dict[str, str]:
    """Return what keeps the product from serving, by part; nothing when it is ready."""
    found = {part: check() for part, check in PARTS.items()}
    return {part: problem for part, problem in found.items() if problem}


def _check_database() -> str | None:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "migrations are not applied"
    except DatabaseError:
        return "PostgreSQL does not answer"
    return None


def _check_worker() -> str | None:
    try:
        return find_worker_problem(settings.JOURNAL_DIR)
    except redis.RedisError:
        return "the broker does not answer"


# The parts that have to work, with the function that checks each.
PARTS: dict[str, Callable[[], str | None]] = {
    "database": _check_database,
    "wallet": find_wallet_problem,
    "worker": _check_worker,
}
