"""The check of deploy/ by the schemas of those who read it."""

from pathlib import Path

import pytest

from devstack import deploy_check
from devstack.errors import LaunchError
from devstack.tools import find_tool


def test_what_is_missing_and_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LaunchError, match="systemd-analyze is missing"):
        deploy_check.check_systemd()


@pytest.mark.skipif(
    find_tool(deploy_check.SYSTEMD_ANALYZE) is None, reason="systemd-analyze is not installed"
)
def test_a_word_that_systemd_does_not_know_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = tmp_path / "deploy"
    (deploy / "systemd").mkdir(parents=True)
    (deploy / "run").touch(mode=0o755)
    unit = "[Service]\nExecStart=/opt/tokenproxy/deploy/run web\nProtectEverything=yes\n"
    (deploy / "systemd" / "tokenproxy-web@.service").write_text(unit)
    monkeypatch.setattr(deploy_check, "DEPLOY", deploy)
    monkeypatch.setattr(deploy_check, "FOLDER", tmp_path / "var")

    with pytest.raises(LaunchError, match="ProtectEverything"):
        deploy_check.check_systemd()
