"""`make clean`: remove `var/`, unless something lives there."""

import shutil
from pathlib import Path

from devstack.environment import ROOT
from devstack.locks import FileLock, IsLocked


def clean(folder: Path = ROOT / "var") -> int:
    """Remove the folder with all databases in it. 1, and nothing removed, if anything runs."""
    locks = [FileLock(path) for path in [*folder.rglob("*.lock"), *folder.rglob("lock")]]
    try:
        for lock in locks:
            lock.acquire()
        if folder.exists():
            shutil.rmtree(folder)
    except IsLocked as error:
        print(f"error: something still runs: {error}")
        return 1
    finally:
        for lock in locks:
            lock.release()
    return 0
