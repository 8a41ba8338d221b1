"""What is broken on purpose: exact replacements, each of which some test must notice.

First every check of an argument of the function library, and the bugs that the design's prototype
had; then the library's other guards, one by one; then the guards around it.
"""

from bench.mutants import (
    admission,
    arguments,
    calls,
    convoys,
    ending,
    known_bugs,
    limits,
    loading,
    members,
    payments,
    process,
    rebuilding,
    sweeps,
)
from bench.mutants.mutant import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS = [
    *arguments.MUTANTS,
    *convoys.MUTANTS,
    *calls.MUTANTS,
    *known_bugs.MUTANTS,
    *admission.MUTANTS,
    *limits.MUTANTS,
    *members.MUTANTS,
    *ending.MUTANTS,
    *rebuilding.MUTANTS,
    *loading.MUTANTS,
    *sweeps.MUTANTS,
    *process.MUTANTS,
    *payments.MUTANTS,
]
