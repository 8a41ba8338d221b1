"""`make conformance`: other people's clients and tests against the running product.

`python -m tests.conformance [--base-url URL --api-key KEY] [SUITE …]`. Without an address, a stack
is started for it, with the sandbox as upstream. Exit 0 only if every suite passed and every skip
has its reason in the README.
"""

import argparse
import gzip
import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devstack.share import Sample, take_share
from tests.conformance import clients, runs
from tests.conformance.runs import Outcome, Suite
from tests.conformance.target import Target, own_stack

FOLDER = clients.ROOT / "var" / "conformance"
README = Path(__file__).with_name("README.md")
# Two cores: one suite each.
SIDE_BY_SIDE = 2
# Where tiktoken, which LangChain counts with, would download its vocabularies from.
VOCABULARIES = "https://openaipublic.blob.core.windows.net/encodings/"


def main() -> int:
    """Run what is asked for and print what it counted."""
    options = _parser().parse_args()
    sample = Sample(take_share(os.environ))
    FOLDER.mkdir(parents=True, exist_ok=True)
    suites = [s for s in runs.list_suites(FOLDER) if s.name in (options.suites or [s.name])]
    suites = sample.share.order(suites)
    with ThreadPoolExecutor() as pool:
        python = pool.submit(clients.set_up_python)
        missing = {suite.name: why for suite in suites if (why := suite.set_up()) is not None}
        python.result()
    started = time.monotonic()
    if options.base_url:
        outcomes = _run_all(suites, Target(options.base_url, options.api_key), missing, sample)
    else:
        with own_stack(FOLDER / "stack-log") as target:
            outcomes = _run_all(suites, target, missing, sample)
    _print(outcomes, time.monotonic() - started)
    return 0 if all(outcome.is_good for outcome in outcomes) and _are_explained(outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--base-url", help="an API that runs already, such as http://…/v1")
    parser.add_argument("--api-key", default="", help="its key")
    names = [suite.name for suite in runs.list_suites(FOLDER)]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(names))
    return parser


def _run_all(
    suites: Sequence[Suite], target: Target, missing: Mapping[str, str], sample: Sample
) -> list[Outcome]:
    """Run those for which there is time; within a share, their tests have what is left of it."""
    environment = {**target.environment, "TIKTOKEN_CACHE_DIR": str(_cache_vocabularies())}

    def run(suite: Suite) -> Outcome | None:
        if why := missing.get(suite.name):
            print(f"--- {suite.name}: {why}", flush=True)
            return Outcome(suite.name, 0.0, skipped=Counter([why]))
        if not sample.wants(suite.name):
            return None
        outcome = runs.run(suite, {**environment, **sample.share.environment()}, FOLDER)
        state = "ok" if outcome.is_good else "FAILED"
        print(f"--- {suite.name}: {state}, {outcome.seconds:.0f} s", flush=True)
        for line in outcome.left_out:
            print(f"--- {suite.name}: {line}", flush=True)
        return outcome

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        outcomes = [outcome for outcome in pool.map(run, suites) if outcome is not None]
    if not sample.share.is_whole:
        print(sample.tell(len(suites), "suites"))
    return outcomes


def _cache_vocabularies() -> Path:
    """The product's vocabularies where tiktoken looks for what it has downloaded."""
    cache = FOLDER / "tiktoken"
    cache.mkdir(exist_ok=True)
    for packed in (clients.ROOT / "proxy" / "vocab").glob("*.tiktoken.gz"):
        address = VOCABULARIES + packed.name.removesuffix(".gz")
        name = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
        (cache / name).write_bytes(gzip.decompress(packed.read_bytes()))
    return cache


def _are_explained(outcomes: Sequence[Outcome]) -> bool:
    """Is every reason for a skip in the README's table?"""
    readme = README.read_text()
    reasons = {reason for outcome in outcomes for reason in outcome.skipped}
    unknown = sorted(reason for reason in reasons if reason not in readme)
    for reason in unknown:
        print(f"a skip without its reason in {README.name}: {reason}")
    return not unknown


def _print(outcomes: Sequence[Outcome], seconds: float) -> None:
    """A line for each suite, its skips below it, and the end of a log that failed."""
    for outcome in outcomes:
        if not outcome.is_good and outcome.log is not None:
            tail = outcome.log.read_text(errors="replace").splitlines()[-150:]
            print(f"\n--- {outcome.name} ({outcome.log})", *tail, sep="\n")
    print(f"\n{'suite':<16}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for outcome in outcomes:
        skipped = outcome.skipped.total()
        print(
            f"{outcome.name:<16}{outcome.passed:>8}{outcome.failed:>8}{skipped:>8}"
            f"{outcome.seconds:>9.1f}"
        )
        for reason, count in outcome.skipped.most_common():
            print(f"    {count} skipped: {reason}")
    print(f"{seconds:.0f} s in all", flush=True)


if __name__ == "__main__":
    sys.exit(main())
