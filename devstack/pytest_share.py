"""Run as many tests as fit into a share of the clock; loaded with `-p devstack.pytest_share`.

Without PROOF_SECONDS it does nothing. With it, the tests are run in an order that PROOF_SEED
decides, none begins when the time is up, and the end says which were left out.
"""

import math
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from devstack.share import Sample, Share, take_share

# Tests are shuffled in groups of this many neighbours, which may share a fixture.
NEIGHBOURS = 8
ENDS_AT, PROOF_SEED = "proof_ends_at", "proof_seed"
LEFT_OUT = "proof_left_out"


class Sampler:
    """The tests of this process and, with several processes, those that the others left out."""

    def __init__(self, share: Share) -> None:
        self.sample = Sample(share)
        self.total = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put them into the seed's order, which is the same in each of the run's processes."""
        groups = self.sample.share.order(neighbours(items))
        items[:] = [item for group in groups for item in group]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.total = len(session.items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Leave out a test that would begin after the time is up."""
        return None if self.sample.wants(item.nodeid) else True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[LEFT_OUT] = self.sample.left_out
            output["proof_total"] = self.total

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        files = Counter(name.partition("::")[0] for name in self.sample.left_out)
        names = [f"{count} in {name}" for name, count in files.items()]
        terminalreporter.write_line(self.sample.tell(self.total, "tests", names=names))


class Distributor:
    """In the process that distributes tests: passes on the share, gathers what is left out."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def pytest_configure_node(self, node: Any) -> None:
        share = self.sampler.sample.share
        node.workerinput.update({ENDS_AT: share.ends_at, PROOF_SEED: share.seed})

    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {})
        self.sampler.sample.left_out += output.get(LEFT_OUT, [])
        self.sampler.total = max(self.sampler.total, output.get("proof_total", 0))


def pytest_configure(config: pytest.Config) -> None:
    share = share_of(config)
    if share.is_whole:
        return
    sampler = Sampler(share)
    config.pluginmanager.register(sampler, "proof-sampler")
    if config.pluginmanager.hasplugin("dsession") or config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(Distributor(sampler), "proof-distributor")


def share_of(config: pytest.Config) -> Share:
    """Return the run's share, for a worker too: its own would begin to count later."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        return take_share(os.environ)
    return Share(given.get(ENDS_AT, math.inf), given.get(PROOF_SEED, 0))


def neighbours(items: Sequence[pytest.Item]) -> list[list[pytest.Item]]:
    """Cut the tests of each file into short runs."""
    groups: list[list[pytest.Item]] = []
    for item in items:
        last = groups[-1] if groups else []
        if last and last[0].path == item.path and len(last) < NEIGHBOURS:
            last.append(item)
        else:
            groups.append([item])
    return groups
