"""Break the wallet's guards one by one: `make mutations`. Fails if a mutant survives.

Each mutant is a copy of the tree with one text replaced, and names the tests that must notice:
one that only other tests catch has no test of its own, and counts as a survivor. As many run at
once as there are processors. Name a part of some mutants' names to try only those:
`python -m bench.mutations reap`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit, urlunsplit

from bench.mutants import MUTANTS, Mutant
from bench.services import own_services
from devstack.pytest_plugin import FOLDER_VARIABLE, TEMPLATE_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 600
# A guard that is gone may leave a test waiting for what never comes.
TEST_TIMEOUT_S = 60
# What is within a function of the library is above the end of it.
END = "\nend\n"
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/\S*?(test_\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bench:
    """A copy of the tree, with a database of its own in the one PostgreSQL."""

    tree: Path
    database_url: str

    def run(self, tests: Iterable[str]) -> str | None:
        """Run tests and return the name of the first that fails; None if all pass."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:randomly"]
        options = ["--reuse-db", f"--timeout={TEST_TIMEOUT_S}", "--tb=no", *tests]
        try:
            done = subprocess.run(
                [*command, *options],
                cwd=self.tree,
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "the clock"
        if done.returncode not in {0, 1, 2}:
            raise RuntimeError(done.stdout[-2_000:] + done.stderr[-2_000:])
        failed = FAILED.search(done.stdout)
        return None if done.returncode == 0 else failed[1] if failed else "the start of the tests"

    def _environment(self) -> dict[str, str]:
        own = {"REDIS_URL", "CELERY_BROKER_URL", "JOURNAL_DIR", FOLDER_VARIABLE, TEMPLATE_VARIABLE}
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        return {**inherited, "DATABASE_URL": self.database_url}


def main(parts: list[str]) -> int:
    chosen = [m for m in MUTANTS if not parts or any(part in m.name for part in parts)]
    for mutant in chosen:
        mutate((ROOT / mutant.file).read_text(), mutant)
    with own_services(is_durable=False), tempfile.TemporaryDirectory() as folder:
        benches = list(set_up(Path(folder), count=os.cpu_count() or 1))
        if failed := benches[0].run(sorted({test for m in chosen for test in m.paths})):
            print(f"{failed} fails without any mutation.")
            return 2
        survivors = [mutant for mutant, fate in try_all(benches, chosen) if fate is None]
    for mutant in survivors:
        print(f"SURVIVED: {mutant.name}")
    print(f"{len(chosen)} mutants, {len(survivors)} survived")
    return 1 if survivors else 0


def set_up(folder: Path, *, count: int) -> Iterator[Bench]:
    """Make as many benches as mutants are to be tried at once."""
    url = urlsplit(os.environ["DATABASE_URL"])
    for number in range(count):
        tree = folder / f"tree{number}"
        copy_tree(tree)
        yield Bench(tree, urlunsplit(url._replace(path=f"/mutants{number}")))


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


def try_all(benches: list[Bench], mutants: list[Mutant]) -> Iterator[tuple[Mutant, str | None]]:
    """Try mutants on whichever bench is free; yields each with the test that noticed it."""
    free: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        free.put(bench)

    def try_one(mutant: Mutant) -> str | None:
        bench = free.get()
        try:
            return find_killer(bench, mutant)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(len(benches)) as pool:
        yield from zip(mutants, pool.map(try_one, mutants), strict=True)


def find_killer(bench: Bench, mutant: Mutant) -> str | None:
    """Return which of a mutant's tests notices it; None if it survives."""
    path = bench.tree / mutant.file
    original = path.read_text()
    path.write_text(mutate(original, mutant))
    started = time.monotonic()
    try:
        killer = bench.run(mutant.paths)
    finally:
        path.write_text(original)
    fate = f"killed by {killer}" if killer else "SURVIVED"
    print(f"{time.monotonic() - started:4.0f} s  {mutant.name}: {fate}", flush=True)
    return killer


def mutate(text: str, mutant: Mutant) -> str:
    """Replace the one place that is meant. Raises ValueError if it is not there, or not the one."""
    start = text.find(mutant.within)
    end = text.find(END, start) + len(END) if mutant.within else len(text)
    if start < 0 or (found := text.count(mutant.old, start, end)) == 0:
        raise ValueError(f"{mutant.name}: not found in {mutant.file}")
    if found > 1:
        raise ValueError(f"{mutant.name}: found {found} times in {mutant.file}")
    at = text.index(mutant.old, start, end)
    return text[:at] + mutant.new + text[at + len(mutant.old) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
