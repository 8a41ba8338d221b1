"""Settings come from the environment, or from files that it names."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from devstack.environment import ROOT, local_settings
from tokenproxy_site.env import get_int, get_list, get_text, get_url


@pytest.fixture
def secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a setting's value is in."""
    path = tmp_path / "secret"
    monkeypatch.setenv("A_SETTING_FILE", str(path))
    return path


def test_a_file_gives_what_the_environment_does_not(secret_file: Path) -> None:
    secret_file.write_text("sk_test_1\n")

    assert get_text("A_SETTING", prefixes=("sk_",)) == "sk_test_1"


def test_a_file_is_held_to_the_same_rules(secret_file: Path) -> None:
    secret_file.write_text("pk_1")

    with pytest.raises(ImproperlyConfigured, match="A_SETTING must start with sk_"):
        get_text("A_SETTING", prefixes=("sk_",))


@pytest.mark.parametrize("read", [get_text, get_list])
def test_a_prefix_alone_is_no_secret(
    read: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SETTING", "whsec_")

    with pytest.raises(ImproperlyConfigured, match="A_SETTING"):
        read("A_SETTING", prefixes=("whsec_",))


def test_every_kind_of_setting_may_be_in_a_file(secret_file: Path) -> None:
    secret_file.write_text("12")
    number = get_int("A_SETTING", 1)
    secret_file.write_text("postgres://user:word@host/db\n")
    url = get_url("A_SETTING", schemes=("postgres",))
    secret_file.write_text("one, two")
    items = get_list("A_SETTING")

    assert (number, url, items) == (12, "postgres://user:word@host/db", ["one", "two"])


def test_a_value_that_stands_twice_is_refused(
    secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_file.write_text("one")
    monkeypatch.setenv("A_SETTING", "one")

    with pytest.raises(ImproperlyConfigured, match="Set A_SETTING or A_SETTING_FILE, not both"):
        get_text("A_SETTING")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(secret_file: Path, content: bytes | None) -> None:
    if content is not None:
        secret_file.write_bytes(content)

    with pytest.raises(ImproperlyConfigured, match="file that A_SETTING_FILE names can't be read"):
        get_text("A_SETTING", "a default")


def test_an_empty_file_gives_no_required_setting(secret_file: Path) -> None:
    secret_file.write_text("\n")

    with pytest.raises(ImproperlyConfigured, match="A_SETTING is required"):
        get_text("A_SETTING")


def test_an_empty_value_counts_as_not_set(
    secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As compose passes what its .env leaves out.
    secret_file.write_text("from the file")
    monkeypatch.setenv("A_SETTING", "")
    monkeypatch.setenv("A_NUMBER", "")

    assert (get_text("A_SETTING"), get_int("A_NUMBER", 7)) == ("from the file", 7)


def test_what_the_address_of_postgresql_asks_for_reaches_its_driver(tmp_path: Path) -> None:
    # A server whose certificate nobody checks would look the same.
    url = "postgres://user:word@host/db?sslmode=verify-full&sslrootcert=/ca.pem"
    show = "from tokenproxy_site.settings import DATABASES; print(DATABASES['default']['OPTIONS'])"

    shown = subprocess.run(
        [sys.executable, "-c", show],
        cwd=ROOT,
        env={**os.environ, **local_settings(url, journal=tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "'sslmode': 'verify-full'" in shown
    assert "'sslrootcert': '/ca.pem'" in shown
    assert "'pool'" in shown
