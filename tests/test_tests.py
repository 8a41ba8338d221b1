"""Tests stand alone: what several of them need is in a module of its own."""

import re
from pathlib import Path

HERE = Path(__file__).parent
OF_A_TEST = re.compile(r"^\s*(?:from|import) tests[\w.]*\.test_\w+", re.MULTILINE)


def test_no_test_module_is_imported_by_another() -> None:
    found = {str(path): OF_A_TEST.findall(path.read_text()) for path in HERE.rglob("*.py")}

    assert {path: names for path, names in found.items() if names} == {}
