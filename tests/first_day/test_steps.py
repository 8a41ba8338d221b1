"""What `make first-day-test` runs is what the page says, with each stand-in named beside it."""

import re

import pytest

from devstack.environment import ROOT
from tests.first_day.__main__ import Done
from tests.first_day.page import read_blocks, split_commands
from tests.first_day.steps import Step, make_step, make_steps

PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_a_command_goes_on_where_its_line_does() -> None:
    block = "# A heading.\n\nfirst --option \\\n    more\nsecond   # why\n"

    assert list(split_commands(block)) == ["first --option \\\n    more", "second   # why"]


def test_a_block_that_breaks_off_is_refused() -> None:
    with pytest.raises(ValueError, match="goes on nowhere"):
        list(split_commands("first \\\n"))


def test_only_marked_blocks_are_run() -> None:
    page = "```sh\nrm -rf /\n```\n\n```sh first-day\nls\n```\n"

    assert read_blocks(page) == [["ls"]]


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="1 blocks are marked"):
        list(make_steps([["ls"]], click="true"))


def test_every_command_of_the_page_is_run_once_and_in_its_order() -> None:
    blocks = read_blocks(PAGE)
    commands = [command for block in blocks for command in block]

    steps = [step.shown for step in make_steps(blocks, click="true")]

    assert [one for one in steps if not one.startswith("(")] == commands
    assert len(steps) == len(commands) + 2


def test_what_the_page_leaves_to_its_reader_is_filled_in() -> None:
    left = re.compile(r"…|REPOSITORY|YOUR\.NAME|EXAMPLE\.COM|USER:PASSWORD|api\.openai\.com")

    assert [
        step.run for step in make_steps(read_blocks(PAGE), click="") if left.search(step.run)
    ] == []


@pytest.mark.parametrize(
    ("command", "stand_in"),
    [
        ("nginx -t && systemctl restart nginx", "a stand-in reads the units"),
        ("certbot certonly", "a certificate of the test's own"),
        ("editor x", "the sandbox's addresses"),
        ("ls", ""),
    ],
)
def test_what_stands_in_for_something_is_named(command: str, stand_in: str) -> None:
    assert make_step(command).stand_in.startswith(stand_in)
    assert bool(make_step(command).stand_in) == bool(stand_in)


@pytest.mark.parametrize(
    ("code", "said", "is_good"), [(0, "all ok", True), (1, "all ok", False), (0, "", False)]
)
def test_a_command_that_fails_or_does_not_say_what_it_must_is_a_failure(
    code: int, said: str, is_good: bool
) -> None:
    step = Step("x", "x", says="ok")

    assert Done(step, code, 1.0, said).is_good == is_good
