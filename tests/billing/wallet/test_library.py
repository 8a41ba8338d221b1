"""The library's parts: joined in order, and called by name with what `signatures.py` says."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from billing.exceptions import WalletError
from billing.wallet import library
from billing.wallet.commands import placing, restoring, shards
from billing.wallet.commands.command import Command
from billing.wallet.signatures import CONVOYS, FUNCTIONS, Signature
from tests.billing.wallet.every_command import REBUILDING, SERVING, convoy_of
from tests.till import NO_LIMIT, Till

SOURCE = library.read_source()
FUNCTION = re.compile(
    r"((?:^--[^\n]*\n)*)^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL
)
REGISTERED = re.compile(
    r"^(?:redis\.)?register_\w+\('(tp_\w+)', (?:(?:serving|restoring)\()?(\w+)\)+$", re.MULTILINE
)
UNPACKED = re.compile(r"local ([\w,\s]+?) =\s+unpack\((keys|args)((?:, \w+)*(?: \+ \d+)?)\)")
# Where rows begin, and how many fields one has.
LOOP = re.compile(r"for at = (\d+), #args(?:, (\d+))? do")


@dataclass(frozen=True)
class Lua:
    """A function of the library: its comment and its text."""

    name: str
    comment: str
    text: str

    def header(self, word: str) -> list[list[str]]:
        """Return the names in the lines of the comment that begin with a word."""
        # A line that is indented goes on with the one before it.
        comment = re.sub(r"\n--   ", " ", self.comment)
        return [line.split() for line in re.findall(rf"^-- {word} (.+)$", comment, re.MULTILINE)]

    def unpacked(self, what: str) -> Iterator[tuple[list[str], str]]:
        """Yield the names into which keys or arguments are unpacked, and from where on."""
        for names, source, span in UNPACKED.findall(self.text):
            if source == what:
                yield [name.strip() for name in names.split(",")], span

    def passes_keys_to(self, name: str) -> bool:
        return re.search(rf"\b{name}\(keys\b", self.text) is not None


LUA = {
    found[2]: Lua(found[2], found[1], found[0][len(found[1]) :])
    for found in FUNCTION.finditer(SOURCE)
}
CALLED = {name: LUA[function] for name, function in REGISTERED.findall(SOURCE)}


def fields(of: type[tuple[Any, ...]]) -> list[str]:
    return list(getattr(of, "_fields"))  # noqa: B009  # of a NamedTuple, which no type says


def reached_from(function: Lua) -> set[str]:
    """Return the functions that are given the keys of this one, itself included."""
    reached = {function.name}
    while more := {
        name
        for name in LUA
        if name not in reached and any(LUA[known].passes_keys_to(name) for known in reached)
    }:
        reached |= more
    return reached


def test_no_part_is_longer_than_300_lines() -> None:
    lengths = {part: library.read_part(part).count("\n") for part in library.PARTS}

    assert max(lengths.values()) <= 300


def test_every_file_of_the_folder_is_a_part() -> None:
    assert {path.stem for path in library.FOLDER.iterdir()} == set(library.PARTS)


def test_every_function_has_a_signature() -> None:
    assert CALLED.keys() == FUNCTIONS.keys()


def test_no_key_or_argument_is_read_by_its_number() -> None:
    by_number = re.findall(r"\b(?:keys|args|KEYS|ARGV)\[(?!at\])[^\]]*\]", SOURCE)

    assert by_number == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_comment_names_its_keys_and_arguments(name: str) -> None:
    signature, function = FUNCTIONS[name], CALLED[name]

    assert function.header("KEYS") == [list(signature.keys)]
    assert function.header("ARGV") == [f for f in [fields(signature.arguments)] if f]
    assert function.header("each") == [fields(row) for row in signature.rows]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_unpacks_its_keys_in_their_order(name: str) -> None:
    expected = list(FUNCTIONS[name].keys)

    found = [
        (names, span)
        for reached in reached_from(CALLED[name])
        for names, span in LUA[reached].unpacked("keys")
    ]

    # The fence alone is read by what wraps the function.
    assert found or expected == ["fence"]
    assert [
        (names, span) for names, span in found if (expected[: len(names)], "") != (names, span)
    ] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_unpacks_its_arguments_in_their_order(name: str) -> None:
    signature = FUNCTIONS[name]
    named = fields(signature.arguments)
    # Beside rows, of which there may be more than fit on Lua's stack, no more is unpacked.
    span = f", 1, {len(named)}" if signature.rows else ""
    rows = [fields(row) for row in signature.rows]

    found = list(reader_of(CALLED[name]).unpacked("args"))

    # A second reading passes over what the first has read.
    of_rows = {(whole(names, rows), span) for names, span in found if "at" in span}
    assert [each for each in found if "at" not in each[1]] == ([(named, span)] if named else [])
    # A row of one field is read as it is.
    assert of_rows == {(tuple(row), f", at, at + {len(row) - 1}") for row in rows if len(row) > 1}


def whole(names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return a row's names with those in the place of `_`, or what was read if none fits."""
    for row in rows:
        if len(row) == len(names) and all(a in ("_", b) for a, b in zip(names, row, strict=True)):
            return tuple(row)
    return tuple(names)


def reader_of(function: Lua) -> Lua:
    """Return the function that unpacks the arguments of this one."""
    if "run_calls(keys, args, " in function.text:
        return LUA["read_calls"]
    if "read_load(args)" in function.text:
        return LUA["read_load"]
    return LUA["read_ask"] if "read_ask(keys, args)" in function.text else function


@pytest.mark.parametrize("name", [name for name, each in FUNCTIONS.items() if each.rows])
def test_rows_begin_behind_the_arguments(name: str) -> None:
    signature, function = FUNCTIONS[name], reader_of(CALLED[name])
    first, size = len(fields(signature.arguments)) + 1, len(fields(signature.rows[0]))

    loops = LOOP.findall(function.text)
    starts = re.findall(r"local at = (\d+)$", function.text, re.MULTILINE)
    steps = re.findall(r"at = at \+ (\d+)$", function.text, re.MULTILINE)

    assert loops or starts
    assert {int(start) for start, _ in loops} | {int(start) for start in starts} == {first}
    assert {int(step or 1) for _, step in loops} <= {size}
    assert [int(step) for step in steps] == [len(fields(row)) for row in signature.rows][
        : len(steps)
    ]


def commands_of(till: Till) -> list[Command]:
    return [
        *(make(till) for make in SERVING.values()),
        *(convoy_of(SERVING[name](till)) for name in ("place", "settle")),
        *(make(till, "mine") for make in REBUILDING.values()),
        restoring.begin(till.shard, epoch="mine"),
        restoring.close(till.shard),
        shards.status(till.shard),
        shards.take_over(till.shard, attempt="first"),
        placing.quote(till.hold_request("new", 10), lease_ms=60_000, limit=NO_LIMIT),
    ]


@pytest.mark.django_db(transaction=True)
def test_every_command_gives_what_its_signature_names(till: Till) -> None:
    made = commands_of(till)

    for command in made:
        given = first_of(command) if command.function in CONVOYS.values() else command
        signature = FUNCTIONS[given.function]
        assert len(given.keys) == len(signature.keys)
        assert fits(given, signature)
    assert {command.function for command in made} == FUNCTIONS.keys()


def first_of(convoy: Command) -> Command:
    """Return the first call of a convoy, taken apart by what the convoy says of it."""
    name, n_keys, n_arguments, *given = convoy.arguments
    arguments = tuple(given[: int(n_arguments)])
    return Command(convoy.shard, str(name), convoy.keys[: int(n_keys)], arguments)


def fits(command: Command, signature: Signature) -> bool:
    """Tell whether a command has the arguments of its function, and whole rows behind them."""
    behind = len(command.arguments) - len(fields(signature.arguments))
    if not signature.rows:
        return type(command.arguments) in {signature.arguments, tuple} and behind == 0
    # One row of each kind, but for `forget`, which is told of an event and of a register.
    return behind in {sum(len(fields(row)) for row in signature.rows), 2}


@pytest.mark.django_db(transaction=True)
def test_an_error_names_the_part_and_its_line(till: Till) -> None:
    command = restoring.begin(till.shard, epoch="")
    lines = library.read_part("values").split("\n")
    line = next(at for at, text in enumerate(lines, 1) if "is empty'" in text)

    with pytest.raises(WalletError, match=rf"tp_begin: .*\bvalues\.lua:{line}\b"):
        till.client.ask(command)


def test_an_error_of_a_longer_library_keeps_its_line() -> None:
    assert library.locate("user_function:99999: sorry") == "user_function:99999: sorry"


def test_the_line_of_every_part_is_found() -> None:
    for part in library.PARTS:
        first = library.read_part(part).split("\n")[0]
        line = SOURCE.split("\n").index(first) + 1
        assert library.locate(f"user_function:{line}") == f"{part}.lua:1"
