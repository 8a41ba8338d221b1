"""The README tells all that an operator can set and run, and nothing that isn't so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "tokenproxy_site" / "settings.py").read_text()
READ = re.compile(r'get_(?:text|url|redis_url|int|bool|list|fernet_keys|networks)\(\s*"([A-Z_]+)"')
LISTED = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def test_every_setting_is_in_the_table() -> None:
    assert sorted(set(READ.findall(SETTINGS))) == sorted(LISTED.findall(README))


def test_every_default_in_the_table_is_the_one_in_force() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", README, re.MULTILINE))
    numbers = re.findall(r'get_int\(\s*"([A-Z_]+)",\s*([\d_ *]+?)[,)]', SETTINGS)
    in_force = {name: str(eval(number)) for name, number in numbers}  # noqa: S307  # our own digits

    assert {name: rows[name] for name in in_force} == in_force


def test_every_folder_in_the_table_exists() -> None:
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*)/`", README)

    assert named
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("target", ["run", "test", "help", "lint"])
def test_the_make_targets_it_names_exist(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
