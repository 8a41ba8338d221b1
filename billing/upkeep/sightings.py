"""Find out whether workers are alive and read the journals that this process writes.

A worker that reads other journals would take running requests for dead ones, and forget their holds
when Redis is lost. Until then nothing fails, so every readiness check looks for it.
"""

import time
from pathlib import Path

from django.core.cache import cache

from billing.wallet.journal import name_folder

# Folder of journals -> when a worker that reads it was last seen, s.
SIGHTINGS = "workers_seen"
SILENCE_S = 30


def note_worker(directory: Path) -> None:
    """Record that a worker is alive and reads this folder. Of two at once, one may get lost."""
    cache.set(SIGHTINGS, {**_read(), name_folder(directory): time.time()}, timeout=SILENCE_S)


def find_worker_problem(directory: Path) -> str | None:
    """Return what is wrong with the workers, for the operator. Raises redis.RedisError."""
    seen = _read()
    if not seen:
        return "no worker has been seen"
    if seen.keys() != {name_folder(directory)}:
        return "a worker reads other journals than this process writes: JOURNAL_DIR must be shared"
    return None


def _read() -> dict[str, float]:
    """Return the folders whose workers were seen within SILENCE_S."""
    oldest = time.time() - SILENCE_S
    seen: dict[str, float] = cache.get(SIGHTINGS, {})
    return {folder: at for folder, at in seen.items() if at >= oldest}
