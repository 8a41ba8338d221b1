"""A slow proof's share of the clock: how long it may take, and which part of it is tried.

`PROOF_SECONDS` bounds a proof: nothing is begun after that time, what has begun may end, and what
was left out is printed. `PROOF_SEED` chooses which part comes first. Without `PROOF_SECONDS` a
proof is whole. Standard library only, because other environments load it, too.
"""

import math
import random
import sys
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

SECONDS, SEED = "PROOF_SECONDS", "PROOF_SEED"
# The beginning of lines that say what was not tried; `.ci/run` repeats them at its end.
LEFT_OUT = "left out: "
# The most names in such a line; with the seed, the same part can be tried again.
LISTED = 20

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """`ends_at` is an instant of time.monotonic(), which all processes of a machine share."""

    ends_at: float = math.inf
    seed: int = 0

    @property
    def is_whole(self) -> bool:
        return math.isinf(self.ends_at)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    @property
    def left_s(self) -> float:
        return max(0.0, self.ends_at - time.monotonic())

    def order(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in the seed's order if time is limited, otherwise as they come."""
        ordered = list(items)
        if not self.is_whole:
            random.Random(self.seed).shuffle(ordered)  # noqa: S311 - a sample, not a secret
        return ordered

    def environment(self, *, parts: float = 1) -> dict[str, str]:
        """Return the variables that give a child one of so many parts of the time left."""
        if self.is_whole:
            return {}
        return {SECONDS: f"{self.left_s / parts:.1f}", SEED: str(self.seed)}


@dataclass
class Sample:
    """The parts of a proof that were left out for lack of time."""

    share: Share
    left_out: list[str] = field(default_factory=list)

    def wants(self, name: str) -> bool:
        """Whether there is time to begin with this; if not, it is noted."""
        if not self.share.is_over:
            return True
        self.left_out.append(name)
        return False

    def tell(self, total: int, what: str, *, names: Sequence[str] | None = None) -> str:
        """Say what was left out, and also that nothing was. `names` may be shorter than all."""
        said = f"{LEFT_OUT}{len(self.left_out)} of {total} {what}, seed {self.share.seed}"
        listed = sorted(self.left_out if names is None else names)
        more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
        return f"{said}: {', '.join(listed[:LISTED])}{more}" if listed else said


def take_share(environ: MutableMapping[str, str]) -> Share:
    """Read this process's share and take it out of the environment: children get their own.

    Exits with a sentence if it is malformed.
    """
    seconds, seed = environ.pop(SECONDS, ""), environ.pop(SEED, "")
    ends_at = time.monotonic() + _number(SECONDS, seconds) if seconds else math.inf
    return Share(ends_at, int(_number(SEED, seed)) if seed else 0)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 <= number < math.inf) or (name == SEED and not number.is_integer()):
        sys.exit(f"error: {name} must be a number of {name[6:].lower()} from 0 on, not {text!r}")
    return number
