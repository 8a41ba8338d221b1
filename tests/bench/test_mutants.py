"""The mutants fit the tree: what they break is there, and so are the tests that must notice."""

import re

import pytest

from bench.mutants import MUTANTS, Mutant
from bench.mutations import ROOT, mutate


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_changes_what_is_there(mutant: Mutant) -> None:
    original = (ROOT / mutant.file).read_text()

    assert mutate(original, mutant) != original


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_names_tests_that_exist(mutant: Mutant) -> None:
    for path in mutant.paths:
        file, _, test = path.partition("::")
        name = test.partition("[")[0]
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_no_two_have_the_same_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
