"""Break the wallet's guards one by one: `make mutations`. Fails if a mutant survives.

Each mutant is a copy of the tree with one text replaced. The tests that should notice run first,
and the others of the wallet only if those did not. Takes some twenty minutes; name a part of some
mutants' names to try only those: `python -m bench.mutations reap`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.mutants import MUTANTS, Mutant
from bench.services import own_services

ROOT = Path(__file__).resolve().parent.parent
# In the order of their speed; the machine last.
ALL_TESTS = ["tests/billing/test_journal.py", "tests/billing/wallet"]
TIMEOUT_S = 900


def main(parts: list[str]) -> int:
    chosen = [m for m in MUTANTS if not parts or any(part in m.name for part in parts)]
    with own_services(), tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        if not passes(tree, ALL_TESTS):
            print("The tests fail without any mutation.")
            return 2
        survivors = [mutant for mutant in chosen if survives(tree, mutant)]
    for mutant in survivors:
        print(f"SURVIVED: {mutant.name}")
    print(f"{len(chosen)} mutants, {len(survivors)} survived")
    return 1 if survivors else 0


def copy_tree(tree: Path) -> None:
    """Copy what is in the working tree, and share the virtual environment."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    if not (tree / ".venv").exists():
        (tree / ".venv").symlink_to((ROOT / ".venv").resolve())


def survives(tree: Path, mutant: Mutant) -> bool:
    """Tell whether no test notices a mutant."""
    path = tree / mutant.file
    original = path.read_text()
    path.write_text(mutate(original, mutant))
    started = time.monotonic()
    try:
        own = mutant.tests
        first = own if "/" in own else f"tests/billing/wallet/test_{own}.py"
        is_alive = passes(tree, [first]) and passes(tree, ALL_TESTS)
    finally:
        path.write_text(original)
    fate = "SURVIVED" if is_alive else "killed  "
    print(f"{fate} {time.monotonic() - started:5.0f} s  {mutant.name}", flush=True)
    return is_alive


def mutate(text: str, mutant: Mutant) -> str:
    """Replace the one place that is meant. Raises ValueError if it is not there."""
    start = text.find(mutant.within)
    at = text.find(mutant.old, start) if start >= 0 else -1
    if at < 0:
        raise ValueError(f"{mutant.name}: not found in {mutant.file}")
    return text[:at] + mutant.new + text[at + len(mutant.old) :]


def passes(tree: Path, tests: list[str]) -> bool:
    """Run tests on a tree, with the one PostgreSQL and a Valkey of their own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"REDIS_URL", "CELERY_BROKER_URL", "JOURNAL_DIR", "DEVSTACK_TEST_FOLDER"}
    }
    environment["MACHINE_EXAMPLES"] = "40"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "--reuse-db", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in {0, 1, 2}:
        raise RuntimeError(done.stdout.decode()[-2_000:] + done.stderr.decode()[-2_000:])
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
