"""Whether this process lives and whether the product is ready to serve."""

from collections.abc import Callable
from functools import cache, partial

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from billing.upkeep.readiness import find_wallet_problem
from billing.upkeep.sightings import find_worker_problem


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process lives."""
    return JsonResponse({"status": "ok"})


def find_problems(*parts: str) -> dict[str, str]:
    """Return what is wrong with these parts, of all if none is named; nothing if they can serve."""
    found = {part: PARTS[part]() for part in parts or PARTS}
    return {part: problem for part, problem in found.items() if problem}


def _check_database() -> str | None:
    try:
        applied = MigrationRecorder(connection).migration_qs.values_list("app", "name")
        return None if _migrations() <= set(applied) else "migrations are not applied"
    except DatabaseError:
        return "PostgreSQL does not answer"


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of this process's code, which don't change while it runs."""
    return frozenset(MigrationLoader(None).graph.nodes)


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


@require_safe
def _readiness(request: HttpRequest, *, parts: tuple[str, ...]) -> JsonResponse:
    """Answer 200 when the parts can serve, else 503 and what is missing."""
    problems = find_problems(*parts)
    status = 503 if problems else 200
    return JsonResponse({"status": "unready" if problems else "ok", **problems}, status=status)


# Of what a request to the API needs, PostgreSQL is not a part: keys and prices that a process knows
# are good without it. Pages and Stripe's webhook are good without Redis.
READINESS: dict[str, Callable[[HttpRequest], JsonResponse]] = {
    "/readyz": partial(_readiness, parts=tuple(PARTS)),
    "/readyz/api": partial(_readiness, parts=("wallet",)),
    "/readyz/site": partial(_readiness, parts=("database",)),
}
