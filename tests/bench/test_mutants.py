"""The mutants fit the tree: what they break is there, and so are the tests that must notice."""

import re

import pytest

from bench.mutants import MUTANTS, Mutant
from bench.mutants.arguments import weakened
from bench.mutants.mutant import PARTS
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


FUNCTIONS = """local function first()
  guard()
end

local function second()
  guard()
  twice() twice()
end

local function third()
  third_guard()
end
"""


def a_mutant(old: str, within: str = "") -> Mutant:
    function = f"local function {within}" if within else ""
    return Mutant("a mutant", "some.lua", old, "gone()", "", within=function)


def test_it_changes_the_function_that_is_named() -> None:
    changed = mutate(FUNCTIONS, a_mutant("guard()", within="second("))

    assert changed.splitlines()[:6] == [
        "local function first()",
        "  guard()",
        "end",
        "",
        "local function second()",
        "  gone()",
    ]


@pytest.mark.parametrize(
    ("old", "within", "message"),
    [
        ("third_guard()", "second(", "not found"),
        ("guard()", "fourth(", "not found"),
        ("fourth_guard()", "", "not found"),
        ("twice()", "second(", "found 2 times"),
        ("  guard()", "", "found 2 times"),
    ],
)
def test_what_is_not_there_once_is_not_changed(old: str, within: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mutate(FUNCTIONS, a_mutant(old, within))


def test_no_two_have_the_same_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


# A field of Redis' own is no argument.
CHECKED = re.compile(r"\b(?:int|str|id|whole)\((?!fields\[).*?, '\w+'")


def test_every_check_of_an_argument_has_a_mutant() -> None:
    sources = [part.read_text() for part in PARTS]
    checks = [check for source in sources for check in CHECKED.findall(source)]

    assert sum(len(weakened(source)) for source in sources) == len(checks) > 90
