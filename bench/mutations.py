"""Break the wallet's guards one by one: `make mutations`. Fails if a mutant survives.

Each mutant is a copy of the tree with one text replaced, and names the tests that must notice:
one that only other tests catch has no test of its own, and counts as a survivor. As many run at
once as there are processors. Name a part of some mutants' names to try only those:
`python -m bench.mutations reap`. Within a share of the clock (`devstack/share.py`), a sample.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit, urlunsplit

from bench.mutants import MUTANTS, Mutant
from bench.services import own_services
from devstack.pytest_plugin import FOLDER_VARIABLE, TEMPLATE_VARIABLE
from devstack.share import Sample, take_share

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 600
# A guard that is gone may leave a test waiting for what never comes.
TEST_TIMEOUT_S = 60
# Within a share of the clock, so many are begun before the next tests are tried unbroken.
BATCH = 12
# What is within a function of the library is above the end of it.
END = "\nend\n"
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/\S*?(test_\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bench:
    """A copy of the tree, with a database of its own in the one PostgreSQL."""

    tree: Path
    database_url: str

    def find_missing(self, tests: Iterable[str]) -> list[str]:
        """Return those that pytest does not find."""
        wanted = set(tests)
        files = sorted({test.partition("::")[0] for test in wanted})
        said = self._pytest("--collect-only", *files, timeout_s=TIMEOUT_S)
        found = said.stdout.splitlines()
        there = {*files, *found, *(line.partition("[")[0] for line in found)}
        return sorted(wanted - there)

    def run(self, tests: Iterable[str]) -> str | None:
        """Run tests and return the name of the first that fails; None if all pass."""
        options = ["-x", "--reuse-db", f"--timeout={TEST_TIMEOUT_S}", "--tb=no"]
        try:
            done = self._pytest(*options, *tests, timeout_s=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "the clock"
        if done.returncode not in {0, 1, 2}:
            raise RuntimeError(done.stdout[-2_000:] + done.stderr[-2_000:])
        failed = FAILED.search(done.stdout)
        return None if done.returncode == 0 else failed[1] if failed else "the start of the tests"

    def _pytest(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:randomly", *arguments],
            cwd=self.tree,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        own = {"REDIS_URL", "CELERY_BROKER_URL", "JOURNAL_DIR", FOLDER_VARIABLE, TEMPLATE_VARIABLE}
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        return {**inherited, "DATABASE_URL": self.database_url}


def main(parts: list[str]) -> int:
    share = take_share(os.environ)
    chosen = [m for m in MUTANTS if not parts or any(part in m.name for part in parts)]
    for mutant in chosen:
        mutate((ROOT / mutant.file).read_text(), mutant)
    sample = Sample(share)
    proven: set[str] = set()
    survivors: list[Mutant] = []
    with own_services(is_durable=False), tempfile.TemporaryDirectory() as folder:
        benches = list(set_up(Path(folder), count=os.cpu_count() or 1))
        if missing := benches[0].find_missing({test for m in chosen for test in m.paths}):
            print("\n".join(f"There is no {test}" for test in missing))
            return 2
        for batch in cut(share.order(chosen), size=len(chosen) if share.is_whole else BATCH):
            wanted = [mutant for mutant in batch if sample.wants(mutant.name)]
            tests = {test for mutant in wanted for test in mutant.paths} - proven
            if tests and (failed := benches[0].run(sorted(tests))):
                print(f"{failed} fails without any mutation.")
                return 2
            proven |= tests
            fates = try_all(benches, wanted, sample)
            survivors += [mutant for mutant, has_survived in fates if has_survived]
    for mutant in survivors:
        print(f"SURVIVED: {mutant.name}")
    tried = len(chosen) - len(sample.left_out)
    print(f"{tried} mutants, {len(survivors)} survived")
    if not share.is_whole:
        print(sample.tell(len(chosen), "mutants"))
    return 1 if survivors else 0


def cut(mutants: Sequence[Mutant], *, size: int) -> Iterator[Sequence[Mutant]]:
    """Cut them into batches: within a share of the clock, each proves its own tests first."""
    for start in range(0, len(mutants), size or 1):
        yield mutants[start : start + size]


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


def try_all(
    benches: list[Bench], mutants: list[Mutant], sample: Sample
) -> Iterator[tuple[Mutant, bool]]:
    """Try mutants on whichever bench is free, while there is time; yields who has survived."""
    free: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        free.put(bench)

    def try_one(mutant: Mutant) -> bool:
        bench = free.get()
        try:
            return sample.wants(mutant.name) and find_killer(bench, mutant) is None
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
