"""The page that walks a request names functions; they must be where it says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "request.md"
NAMED = re.compile(r"`([\w/]+\.py): ([\w.]+)`")


def names(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Give the classes and functions of a module by their qualified names."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name
            yield from names(node.body, f"{within}{node.name}.")


def test_every_function_that_it_names_is_where_it_says() -> None:
    named = NAMED.findall(PAGE.read_text())

    gone = {
        f"{path}: {name}"
        for path, name in named
        if not (ROOT / path).is_file()
        or name not in set(names(ast.parse((ROOT / path).read_text()).body))
    }

    assert len(named) > 20
    assert gone == set()


def test_it_names_files_in_no_other_way() -> None:
    text = NAMED.sub("", PAGE.read_text())

    assert re.findall(r"[\w/]+\.py\b", text) == []
