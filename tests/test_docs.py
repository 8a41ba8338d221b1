"""The documentation tells all that can be set, run, refused and relied on, and nothing else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import SETTING_READ

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
SETTINGS = (ROOT / "tokenproxy_site" / "settings.py").read_text()
ERRORS = (ROOT / "templates" / "docs" / "pages" / "en" / "errors.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
APPS = ("accounts", "billing", "proxy", "tokenproxy_site")
FOLDERS = ("accounts", "bench", "billing", "deploy", "devstack", "docs", "proxy", "sandbox")
PAGES = sorted(
    path
    for folder in (".", *FOLDERS)
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
INDEX = (ROOT / "docs" / "decisions" / "README.md").read_text()

LISTED = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
NAMED_TARGET = re.compile(r"`make ([a-z][a-z-]*)")
COMMAND = re.compile(r"`[^`\n]*\b([a-z]+(?:_[a-z]+)+)\b[^`\n]*`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
IN_CODE = re.compile(r"`([a-z_]+)`")
STATUS = re.compile(r"^\* Status: (accepted|superseded by \d{4})$", re.MULTILINE)
DATE = re.compile(r"^\* Date: (\d{4}-\d{2}-\d{2})$", re.MULTILINE)
SECTIONS = ["Context", "Decision", "Consequences", "Rejected alternatives", "Enforced by"]
CHECK = re.compile(r"`(tests/[\w/]+\.py)`(?:: `(test_\w+)`)?")
VERSION = re.compile(r"^## \[(Unreleased|\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$")


def test_every_setting_is_in_one_of_the_tables() -> None:
    assert sorted(LISTED.findall(OPERATIONS)) == sorted(set(SETTING_READ.findall(SETTINGS)))


def test_the_readme_has_a_few_of_them() -> None:
    listed = LISTED.findall(README)

    assert len(listed) <= 12
    assert set(listed) < set(LISTED.findall(OPERATIONS))
    defaults = re.compile(r"^\| `([A-Z_]+)` \| (.+?) \|", re.MULTILINE)
    everywhere = dict(defaults.findall(OPERATIONS))
    assert [row for row in defaults.findall(README) if row[0] in listed] == [
        (name, everywhere[name]) for name in listed
    ]


def test_every_default_in_the_tables_is_the_one_in_force() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", OPERATIONS, re.MULTILINE))
    numbers = re.findall(r'get_int\(\s*"([A-Z_]+)",\s*([\d_ *]+?)[,)]', SETTINGS)
    in_force = {name: str(eval(number)) for name, number in numbers}  # noqa: S307  # our own digits

    assert {name: rows[name] for name in in_force} == in_force


def test_every_folder_in_the_table_exists() -> None:
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*)/`", README)

    assert named
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 200


def test_every_make_target_is_explained() -> None:
    explained = set(NAMED_TARGET.findall(README + CONTRIBUTING))

    assert set(TARGET.findall(MAKEFILE)) - explained == set()


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_only_make_targets_that_exist(document: Path) -> None:
    assert set(NAMED_TARGET.findall(document.read_text())) - set(TARGET.findall(MAKEFILE)) == set()


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_links_only_to_what_exists(document: Path) -> None:
    links = LINK.findall(document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_management_command_is_explained() -> None:
    files = [path for app in APPS for path in (ROOT / app).glob("management/commands/[a-z]*.py")]
    commands = {path.stem for path in files}

    assert "audit_money" in commands
    assert commands - set(COMMAND.findall(README)) == set()


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Yield the codes of errors: what is passed or set as `code`, and given to `fail`."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code", value=value):
                yield from words_in(value)
            case ast.Assign(targets=[ast.Name("code")], value=value):
                yield from words_in(value)
            case ast.Call(func=ast.Name("fail"), args=[_, _, value]):
                yield from words_in(value)


def words_in(value: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression is one of."""
    match value:
        case ast.Constant(str(word)):
            yield word
        case ast.IfExp(body=body, orelse=orelse):
            yield from words_in(body)
            yield from words_in(orelse)


def test_every_error_code_is_on_the_page_about_errors() -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "proxy").rglob("*.py")]
    codes = {code for tree in trees for code in codes_in(tree)}

    assert {"insufficient_quota", "invalid_type", "integer_below_min_value"} <= codes
    assert codes - set(IN_CODE.findall(ERRORS)) == set()


def test_every_decision_is_in_the_index() -> None:
    rows = []
    for page in DECISIONS:
        text = page.read_text()
        [date], [status] = DATE.findall(text), STATUS.findall(text)
        title = text.splitlines()[0].removeprefix("# ")
        rows.append(f"| {page.name[:4]} | [{title}]({page.name}) | {date} | {status} |")

    assert [line for line in INDEX.splitlines() if line.startswith("| 0")] == rows


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_its_parts_in_order(document: Path) -> None:
    parts = re.findall(r"^## (.+)$", document.read_text(), re.MULTILINE)

    assert parts == [name for name in SECTIONS if name != "Consequences" or name in parts]


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_enforced_by_tests_that_exist(document: Path) -> None:
    checks = CHECK.findall(document.read_text().split("## Enforced by")[1])

    assert checks
    for file, name in checks:
        assert (ROOT / file).is_file(), file
        assert f"def {name}(" in (ROOT / file).read_text() if name else True, name


def test_the_changelog_is_sorted_by_version_and_kind() -> None:
    headings = [line for line in CHANGELOG.splitlines() if line.startswith("## ")]
    kinds = re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)

    assert headings[0].startswith("## [Unreleased]")
    assert [line for line in headings if not VERSION.match(line)] == []
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
