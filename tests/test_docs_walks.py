"""The pages that walk a journey name functions; each must be in the file that the page says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/payment.md", "docs/request.md")
NAMED = re.compile(r"`([\w/]+\.py): ([\w.]+)`")


def names(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Give the classes and functions of a module by their qualified names."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name
            yield from names(node.body, f"{within}{node.name}.")


@pytest.mark.parametrize("page", PAGES)
def test_every_function_that_a_walk_names_is_where_it_says(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text())

    gone = {
        f"{path}: {name}"
        for path, name in named
        if not (ROOT / path).is_file()
        or name not in set(names(ast.parse((ROOT / path).read_text()).body))
    }

    assert len(named) > 20
    assert gone == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_walk_names_files_in_no_other_way(page: str) -> None:
    text = NAMED.sub("", (ROOT / page).read_text())

    assert re.findall(r"[\w/]+\.py\b", text) == []
