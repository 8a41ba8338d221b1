"""What a deployment is told to set is what the product reads."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from billing.wallet.address import RedisAddress
from devstack.environment import ROOT
from devstack.plan import UVICORN_TIMEOUT_S, WEB_FLAGS, WEB_KEEP_ALIVE_S
from tests.sources import SETTING_READ

DEPLOY = ROOT / "deploy"
SETTINGS = (ROOT / "tokenproxy_site" / "settings.py").read_text()
EXAMPLE = (DEPLOY / ".env.example").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CONFIG = yaml.safe_load((DEPLOY / "kubernetes" / "config.yaml").read_text())["data"]
COMMON = (DEPLOY / "systemd" / "tokenproxy-.service.d" / "common.conf").read_text()
RUN = (DEPLOY / "run").read_text()
KNOWN = set(SETTING_READ.findall(SETTINGS))
IN_EXAMPLE = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
DRAIN_S = 30


def files_in(environment: dict[str, str]) -> set[str]:
    """Return the settings that an environment takes from files."""
    return {name.removesuffix("_FILE") for name in environment if name.endswith("_FILE")}


def variables_of_compose() -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))


SECRET = files_in(COMPOSE["services"]["web"]["environment"])
# Where only `migrate` knows the owner's address, it is that one's DATABASE_URL.
OWNERS = {"DATABASE_OWNER_URL"}


def test_the_example_has_every_setting_that_is_no_secret_and_nothing_else() -> None:
    assert set(IN_EXAMPLE) == (KNOWN - SECRET - OWNERS) | variables_of_compose()


def test_its_defaults_are_those_in_force() -> None:
    numbers = re.findall(r'get_int\(\s*"([A-Z_]+)",\s*([\d_ *]+?)[,)]', SETTINGS)
    switches = re.findall(r'get_bool\("([A-Z_]+)", default=(True|False)\)', SETTINGS)
    in_force = {name: str(eval(number)) for name, number in numbers}  # noqa: S307  # our own digits
    in_force |= {name: str(int(default == "True")) for name, default in switches}

    assert {name: IN_EXAMPLE[name] for name in in_force} == in_force


def test_the_same_secrets_come_from_files_everywhere() -> None:
    in_systemd = dict(re.findall(r"^Environment=([A-Z_]+)=(%d/\w+)$", COMMON, re.MULTILINE))

    manage = (DEPLOY / "manage").read_text()
    [in_shell] = re.findall(r"for name in ([a-z_ \\\n]+); do", manage)

    assert SECRET <= KNOWN
    assert set(in_shell.replace("\\", "").split()) == {name.lower() for name in SECRET}
    assert files_in(CONFIG) == SECRET
    assert files_in(in_systemd) == SECRET
    for name in SECRET:
        file = name.lower()
        assert COMPOSE["services"]["web"]["environment"][f"{name}_FILE"] == f"/run/secrets/{file}"
        assert CONFIG[f"{name}_FILE"] == f"/run/secrets/tokenproxy/{file}"
        assert in_systemd[f"{name}_FILE"] == f"%d/{file}"


def test_the_manifests_set_nothing_that_the_product_does_not_read() -> None:
    named = {name for name in CONFIG if not name.endswith("_FILE")}
    named |= set(re.findall(r"^Environment=([A-Z_]+)=/", COMMON, re.MULTILINE)) - {"PATH"}

    assert named <= KNOWN


def test_a_web_process_gets_the_flags_that_the_tests_run_it_with() -> None:
    assert [flag for flag in WEB_FLAGS if flag not in RUN] == []
    assert f"--timeout-keep-alive {WEB_KEEP_ALIVE_S}" in RUN
    assert "$((${DRAIN_TIMEOUT_S:-30} + 10))" in RUN
    assert UVICORN_TIMEOUT_S == DRAIN_S + 10


def seconds(text: str) -> int:
    """Read the default of a duration of compose."""
    found = re.search(r"(\d+)s\}?$", text)
    assert found
    return int(found[1])


def test_nobody_kills_a_web_process_before_it_has_drained() -> None:
    web = next(yaml.safe_load_all((DEPLOY / "kubernetes" / "web.yaml").read_text()))
    pod = web["spec"]["template"]["spec"]
    [_, pause] = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    unit = (DEPLOY / "systemd" / "tokenproxy-web@.service").read_text()
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    # uvicorn's own limit, 10 s above the drain's, and as much again to close and to exit.
    least = DRAIN_S + 20
    assert int(CONFIG["DRAIN_TIMEOUT_S"]) == int(IN_EXAMPLE["DRAIN_TIMEOUT_S"]) == DRAIN_S
    assert seconds(COMPOSE["services"]["web"]["stop_grace_period"]) >= least
    assert seconds(IN_EXAMPLE["WEB_STOP_GRACE"]) >= least
    assert int(stop) >= least
    assert pod["terminationGracePeriodSeconds"] >= int(pause) + least


@pytest.mark.parametrize("service", ["web", "worker"])
def test_web_processes_and_workers_share_their_journals(service: str) -> None:
    document = next(yaml.safe_load_all((DEPLOY / "kubernetes" / f"{service}.yaml").read_text()))
    pod = document["spec"]["template"]["spec"]
    [mount] = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "journal"]
    claims = [v["persistentVolumeClaim"] for v in pod["volumes"] if v["name"] == "journal"]
    image = (DEPLOY / "Dockerfile").read_text()

    assert COMPOSE["services"][service]["volumes"] == [f"journal:{mount['mountPath']}"]
    assert f"JOURNAL_DIR={mount['mountPath']}\n" in image
    assert f"JOURNAL_DIR={mount['mountPath']}\n" in COMMON
    assert claims == [{"claimName": "tokenproxy-journal"}]


@pytest.mark.parametrize("name", ["web", "worker", "beat", "migrate"])
def test_every_process_has_a_way_to_start_and_can_write_nowhere_else(name: str) -> None:
    service = COMPOSE["services"][name]
    document = next(yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text()))
    [container] = document["spec"]["template"]["spec"]["containers"]

    assert f"\n{name})\n" in RUN
    assert service["command"] == container["args"] == [name]
    assert service["read_only"] is container["securityContext"]["readOnlyRootFilesystem"] is True
    assert service["cap_drop"] == container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_only_the_edge_is_believed_and_it_keeps_its_address() -> None:
    services: dict[str, Any] = COMPOSE["services"]
    address = services["edge"]["networks"]["edge"]["ipv4_address"]

    assert services["web"]["environment"]["TRUSTED_PROXIES"] == address
    assert [name for name, service in services.items() if "ports" in service] == ["edge"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_every_file_that_compose_mounts_exists_or_is_made() -> None:
    mounted = re.findall(r"^ +- (\./[\w./]+):", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)

    assert mounted
    assert [path for path in mounted if not (DEPLOY / path).exists()] == []


def test_it_makes_secrets_once_that_the_product_takes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    def make() -> tuple[str, dict[str, str]]:
        said = subprocess.run(
            [DEPLOY / "make-secrets", folder], capture_output=True, text=True, check=True
        ).stdout
        return said, {path.name: path.read_text().strip() for path in folder.iterdir()}

    first_said, first = make()
    (folder / "email_url").chmod(0o644)
    (folder / "email_url").write_text("smtp://mail")
    second_said, second = make()

    assert set(first) - {"redis_password"} == set(COMPOSE["secrets"])
    assert second == {**first, "email_url": "smtp://mail"}
    assert ("email_url" in first_said, "email_url" in second_said) == (True, False)
    assert folder.stat().st_mode & 0o777 == 0o700
    Fernet(first["provider_keys_secret"])
    RedisAddress.parse(first["redis_url"])
    assert first["database_app_password"] in first["database_url"]
    assert first["database_app_password"] != first["database_owner_password"]
    assert first["redis_password"] not in first["redis_acl"]


def test_the_image_gets_the_product_and_nothing_else() -> None:
    let_in = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    packages = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
            "root_packages"
        ]
    )

    assert {name for name in let_in if (ROOT / name / "__init__.py").exists()} == packages - {
        "sandbox",
        "devstack",
    }
    assert [name for name in sorted(let_in) if not (ROOT / name).exists()] == []
    assert {"static", "templates", "manage.py", "requirements.txt", "deploy/run"} <= let_in
