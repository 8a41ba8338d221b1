"""What is broken on purpose: exact replacements, each of which some test must notice.

First the bugs that the design's prototype had; then every guard of the function library; then the
guards around it.
"""

from bench.mutants import admission, ending, known_bugs, limits, process, rebuilding, sweeps
from bench.mutants.mutant import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS = [
    *known_bugs.MUTANTS,
    *admission.MUTANTS,
    *limits.MUTANTS,
    *ending.MUTANTS,
    *rebuilding.MUTANTS,
    *sweeps.MUTANTS,
    *process.MUTANTS,
]
