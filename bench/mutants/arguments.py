"""Every check of an argument of the function library, weakened in turn: made from its source."""

import re

from bench.mutants.mutant import PARTS, Mutant, lua

FUNCTION = re.compile(r"^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL)
# What is read of Redis is named otherwise: it needs no check, but for an event's fields.
CHECK = re.compile(r"\b(int|str|id|whole)\((\w+|(?:event|args)\[[^\]]+\]), '(\w+)'(?:, -?\d+)?\)")
WRONG = "functions::test_a_wrong_argument_changes_nothing"
WRONG_OF_REBUILD = "functions::test_a_wrong_argument_of_a_rebuild_changes_nothing"
# Where a function has another name among the tests' calls than here.
NAMES = {
    "read_ask": "place",
    "read_limits": "place",
    "read_load": "load",
    "restore_wallets": "wallets",
    "restore_keys": "api_keys",
    "restore_holds": "holds",
    "open_fence": "open",
    "restoring": "keep",
}
WRONG_CONVOY = "convoys::test_a_convoy_that_is_no_convoy_runs_none_of_its_calls"
REBUILDING = {
    "begin",
    "restore_wallets",
    "restore_keys",
    "restore_holds",
    "keep",
    "correct_event",
    "forget",
    "open_fence",
    "restoring",
    "take_over",
}


def weakened(source: str) -> list[Mutant]:
    """Return a mutant for each check of the source's functions: anything passes."""
    return [
        weaken(function[1], check)
        for function in FUNCTION.finditer(source)
        for check in CHECK.finditer(function[0])
    ]


def weaken(function: str, check: re.Match[str]) -> Mutant:
    kind, value, name = check.groups()
    # A call, because some checks stand alone as a statement.
    instead = "tonumber" if kind == "int" else "tostring"
    return lua(
        f"unchecked: {name} of {function}",
        check[0],
        f"{instead}({value})",
        within=f"{function}(",
        tests=find_test(function, value, name),
    )


def find_test(function: str, value: str, name: str) -> str:
    """Return the test that must notice."""
    if value.startswith("event["):
        return f"functions::test_an_event_with_a_wrong_field_is_not_acknowledged[{name}]"
    if function == "read_calls":
        return WRONG_CONVOY
    test = WRONG_OF_REBUILD if function in REBUILDING else WRONG
    return f"{test}[{NAMES.get(function, function)}]"


MUTANTS = [mutant for part in PARTS for mutant in weakened(part.read_text())]
