"""Setting up shows how far it is, goes on where it was interrupted, and fails in one sentence."""

import hashlib
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack import packages
from devstack.bootstrap import REQUIREMENTS
from devstack.packages import (
    Installer,
    InstallError,
    as_uv_takes_it,
    explain,
    read_pip_settings,
    read_requirements,
)

UV = Path(sys.executable).with_name("uv")
MakeFile = Callable[..., Path]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, and pip told to look nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    # Whoever goes elsewhere all the same finds nothing, on any machine.
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    # Another test's wheels of these names are not the same.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


def make_wheel(folder: Path, name: str) -> str:
    """Make the smallest wheel there is; return its entry in a requirement file."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/RECORD,,\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}==1.0 \\\n    --hash=sha256:{digest}\n"


@pytest.fixture
def requirements(registry: Path, tmp_path: Path) -> Path:
    """Ten packages, locked."""
    path = tmp_path / "requirements.txt"
    path.write_text("".join(make_wheel(registry, f"little{number}") for number in range(10)))
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=True)
    return folder


def installed(environment: Path) -> list[str]:
    return sorted(path.stem for path in environment.glob("lib/*/site-packages/little*.py"))


ALL = [f"little{number}" for number in range(10)]


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an installer that failed wrote, of which a user is told the reason alone."""
    said: list[str] = []

    def note(text: str) -> str:
        said.append(text)
        return explain(text)

    monkeypatch.setattr(packages, "explain", note)
    return said


@pytest.mark.parametrize("uv", [UV, None], ids=["uv", "pip"])
def test_it_installs_what_is_locked_and_shows_how_far_it_is(
    environment: Path,
    requirements: Path,
    uv: Path | None,
    failures: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Installer(environment, uv=uv).install(read_requirements([requirements]))

    assert installed(environment) == ALL
    assert failures == []
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("]")[0] for line in lines] == ["  [  8 of 10", "  [ 10 of 10"]
    assert "little9" in lines[1]


@pytest.mark.parametrize("uv", [UV, None], ids=["uv", "pip"])
def test_what_was_interrupted_goes_on_and_mends_what_was_cut_short(
    environment: Path, requirements: Path, uv: Path | None, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = read_requirements([requirements])
    Installer(environment, uv=uv).install(entries)
    # As if it had been killed while it unpacked the ninth.
    (environment / "packages-done").write_text("8\n")
    [half] = environment.glob("lib/*/site-packages/little8.py")
    half.unlink()
    capsys.readouterr()

    Installer(environment, uv=uv).install(entries)

    assert installed(environment) == ALL
    assert "going on after 8 of 10" in capsys.readouterr().out
    assert not (environment / "packages-done").exists()


def test_a_uv_that_fails_leaves_it_to_pip(environment: Path, requirements: Path) -> None:
    broken = environment / "bin" / "uv"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)

    Installer(environment, uv=broken).install(read_requirements([requirements]))

    assert installed(environment) == ALL


@pytest.mark.parametrize("uv", [UV, None], ids=["uv", "pip"])
def test_a_package_that_is_not_the_locked_one_is_refused(
    environment: Path, requirements: Path, registry: Path, uv: Path | None
) -> None:
    with zipfile.ZipFile(registry / "little3-1.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("intruder.py", "")

    with pytest.raises(InstallError, match="is not the one that was locked"):
        Installer(environment, uv=uv).install(read_requirements([requirements]))

    assert not list(environment.glob("lib/*/site-packages/intruder.py"))


@pytest.mark.parametrize("uv", [UV, None], ids=["uv", "pip"])
def test_a_registry_that_is_away_is_said_in_a_sentence(
    environment: Path, requirements: Path, uv: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    # Nothing listens there. pip tells of it only when it tries again.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(InstallError, match="the package registry can't be reached") as caught:
        Installer(environment, uv=uv).install(read_requirements([requirements]))

    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("failed to write: No space left on device (os error 28)", "the disk is full"),
        ("Temporary failure in name resolution", "can't be reached"),
        ("error sending request for url (https://registry.example/x)", "can't be reached"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE FILE", "not the one that was locked"),
        ("No matching distribution found for little==1", "lacks what was locked"),
    ],
)
def test_a_failure_is_a_sentence(said: str, reason: str) -> None:
    assert reason in explain(said)


def test_what_nobody_foresaw_is_shown_without_addresses() -> None:
    said = "broken: https://user:pw@registry.example/simple/x\nHTTPSPool(host='registry.example')"

    assert explain(said) == "broken: … / HTTPSPool(…)"


def test_every_locked_package_is_read_once() -> None:
    found = read_requirements(REQUIREMENTS)

    names = [entry.name for entry in found]
    assert {"django", "stripe", "uv", "pytest", "mypy"} <= set(names)
    assert all("--hash=sha256:" in entry.text for entry in found)
    assert names.count("anyio") == 1


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one==1.0 \\\n    --hash=sha256:00\n")
    (tmp_path / "b.txt").write_text("one==2.0 \\\n    --hash=sha256:00\n")

    with pytest.raises(InstallError, match="disagree on one"):
        read_requirements([tmp_path / "a.txt", tmp_path / "b.txt"])


def test_one_package_may_have_a_version_for_each_python(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one==1.0 ; python_version < '3.12' \\\n    --hash=sha256:00\n"
                    "one==2.0 ; python_version >= '3.12' \\\n    --hash=sha256:00\n")  # fmt: skip

    assert [entry.name for entry in read_requirements([path])] == ["one", "one"]


def test_uv_goes_where_pip_is_told_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror.example/simple\nproxy = http://proxy.example:3128\n"
        f"find-links = {tmp_path}\n    /nowhere\n[install]\ntrusted-host = mirror.example\n"
    )
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_PROXY", "PIP_TRUSTED_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", "/etc/mirror.pem")

    told = as_uv_takes_it(read_pip_settings(Path(sys.executable)))

    expected = {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_FIND_LINKS": str(tmp_path),
        "UV_INSECURE_HOST": "mirror.example",
        "ALL_PROXY": "http://proxy.example:3128",
        "SSL_CERT_FILE": "/etc/mirror.pem",
    }
    assert {name: told.get(name) for name in expected} == expected


def test_pip_is_asked_wherever_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("PIP_FIND_LINKS", "/of/a/variable")

    assert read_pip_settings(Path(sys.executable))["find-links"] == "/of/a/variable"


def test_uv_is_not_asked_if_pip_does_not_tell_where_to_go(
    environment: Path, requirements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [command] = environment.glob("lib/*/site-packages/pip/_internal/commands/configuration.py")
    command.write_text("raise OSError('no settings')")

    Installer(environment, uv=UV).install(read_requirements([requirements]))

    assert installed(environment) == ALL
    assert "uv can't (pip does not tell its settings: " in capsys.readouterr().out


def test_a_full_disk_is_told_by_the_system_too() -> None:
    assert packages.show_error(OSError(28, "No space left on device")) == "the disk is full"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_no_file_of_the_tree_names_a_registry() -> None:
    listed = subprocess.run(
        ["git", "grep", "-lE", "^--(index-url|extra-index-url|find-links)"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )

    assert listed.stdout == ""
