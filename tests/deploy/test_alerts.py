"""Alerts and dashboards speak of figures that exist, and each alert of what to do."""

import re
from typing import Any

import orjson
import pytest
import yaml

import proxy.serving.figures  # noqa: F401  # it registers its figures
import tokenproxy_site.metrics.web  # noqa: F401  # likewise
from common.figures import REGISTRY
from devstack.environment import ROOT
from tokenproxy_site.metrics.snapshot import METRICS, QUEUES
from tokenproxy_site.settings import CELERY_BEAT_SCHEDULE, CLOCK_SWEEPS

DEPLOY = ROOT / "deploy"
[GROUP] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
RULES: list[dict[str, Any]] = GROUP["rules"]
TESTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.test.yaml").read_text())["tests"]
DASHBOARD = orjson.loads((DEPLOY / "grafana" / "tokenproxy.json").read_bytes())
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
FIGURE = re.compile(r"tokenproxy_\w+")
# What a histogram or counter's samples are called beyond its own name.
SUFFIX = re.compile(r"_(total|bucket|count|sum|info)$")
PANELS = [
    (panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]
]
ASKED = [(rule["alert"], rule["expr"]) for rule in RULES] + PANELS


@pytest.fixture(scope="module")
def figures(django_db_setup: None, django_db_blocker: Any) -> set[str]:
    """Every figure's name, without the suffixes of its samples."""
    with django_db_blocker.unblock():
        collected = {metric.name for metric in REGISTRY.collect()}
    # Those that need a process that serves, or an audit.
    later = {
        "tokenproxy_held_credits",
        "tokenproxy_circuit_open",
        "tokenproxy_audit_findings",
        "tokenproxy_audit_last_clean_timestamp_seconds",
    }
    return collected | later | {f"tokenproxy_{name}" for name in METRICS}


@pytest.mark.parametrize(("title", "expression"), ASKED)
def test_what_is_asked_for_is_told(figures: set[str], title: str, expression: str) -> None:
    asked = FIGURE.findall(expression)

    unknown = [name for name in asked if not {name, SUFFIX.sub("", name)} & figures]
    assert unknown == []
    assert asked or expression.startswith("up{")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_a_summary_and_a_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    assert f"\n### {rule['alert']}\n" in OPERATIONS


def test_every_alert_is_tested_to_fire_and_to_be_quiet() -> None:
    names = {rule["alert"] for rule in RULES}
    [*firing, quiet] = TESTS

    assert {test["name"] for test in firing} == names
    assert {check["alertname"] for check in quiet["alert_rule_test"]} == names
    assert not any("exp_alerts" in check for check in quiet["alert_rule_test"])


def test_rules_name_sweeps_and_queues_that_exist() -> None:
    rules = "\n".join(rule["expr"] for rule in RULES)

    [by_clock] = re.findall(r'sweep=~"billing\.\(([^)]+)\)"', rules)
    [by_message] = re.findall(r'sweep="([^"]+)"', rules)
    assert {f"billing.{name}" for name in by_clock.split("|")} <= set().union(
        *CLOCK_SWEEPS.values()
    )
    assert by_message in {entry["task"] for entry in CELERY_BEAT_SCHEDULE.values()}
    assert set(re.findall(r'queue="(\w+)"', rules)) <= set(QUEUES)
