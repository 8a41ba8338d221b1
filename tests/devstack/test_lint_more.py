"""The linters of what is not Python."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from billing.wallet import library
from devstack.environment import ROOT
from devstack.lint_more import __main__ as lint_more

PACKAGES = ROOT / "devstack" / "lint_more"
# Joined before they are looked at.
PARTS = "billing/wallet/lua/*.lua"
NOT_OURS = {"var", "staticfiles", "vendor", "node_modules"}


def test_what_is_missing_and_cannot_be_installed_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devstack.lint_more"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "luacheck is missing" in done.stderr
    assert "node is missing" in done.stderr
    assert "Failed: luacheck, stylelint, eslint" in done.stdout


@pytest.mark.parametrize("packages", [PACKAGES, ROOT / "tests" / "quality"])
def test_nodes_packages_are_pinned_and_name_no_host(packages: Path) -> None:
    wanted = json.loads((packages / "package.json").read_text())["dependencies"]
    locked = json.loads((packages / "package-lock.json").read_text())["packages"]

    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(entry["integrity"] for name, entry in locked.items() if name)
    assert "://" not in (packages / "package-lock.json").read_text()


@pytest.mark.parametrize(
    ("kind", "patterns"),
    [("lua", (*lint_more.LUA, PARTS)), ("css", lint_more.CSS), ("js", lint_more.JAVASCRIPT)],
)
def test_every_file_of_ours_is_looked_at(kind: str, patterns: tuple[str, ...]) -> None:
    found = [path.relative_to(ROOT) for path in ROOT.glob(f"[a-z]*/**/*.{kind}")]
    ours = {str(path) for path in found if NOT_OURS.isdisjoint(path.parts)}

    assert ours
    assert ours == set(lint_more.find(patterns))


def test_the_library_is_looked_at_as_it_is_loaded() -> None:
    assert lint_more.join_library().read_text() == library.read_source()
