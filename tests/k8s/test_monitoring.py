"""Alerts and dashboard: promtool takes the rules and their tests; every metric that they name is one of ours."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from processors import metrics
from tests.k8s.tools import ROOT, promtool

MONITORING = ROOT / "k8s" / "components" / "monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
ALERTS_TEST = Path(__file__).with_name("alerts_test.yaml")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]

_METRIC = re.compile(r"\b(sluice_\w+|process_\w+|python_\w+)\b(\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_BY = re.compile(r"\bby\s*\(([^)]*)\)")
_SCRAPED = {"namespace", "pod"}  # labels that are not a worker's but come by the scrape


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with the rules as Prometheus itself reads them, and their tests."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    shutil.copy(ALERTS_TEST, tmp_path)
    return tmp_path


def test_promtool_accepts_the_rules(rules: Path) -> None:
    checked = promtool("check", "rules", "rules.yaml", folder=rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_the_rules_pass_their_tests(rules: Path) -> None:
    tested = promtool("test", "rules", ALERTS_TEST.name, folder=rules)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_wrong_threshold_fails_the_tests(rules: Path) -> None:
    path = rules / "rules.yaml"
    path.write_text(path.read_text().replace("> 0.9", "> 0.95"))
    assert promtool("test", "rules", ALERTS_TEST.name, folder=rules).returncode != 0


def test_every_alert_has_a_test() -> None:
    tests = yaml.safe_load(ALERTS_TEST.read_text())["tests"]
    fires = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fires == {rule["alert"] for rule in ALERTS}


def test_every_alert_has_its_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE)
    assert headings == [rule["alert"] for rule in ALERTS]
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_that_exist(rule: dict[str, str]) -> None:
    assert list(wrong(rule["expr"])) == []


@pytest.mark.parametrize("panel", [p for p in DASHBOARD["panels"] if p["type"] != "row"], ids=lambda p: p["title"])
def test_a_panel_names_metrics_that_exist(panel: dict[str, list[dict[str, str]]]) -> None:
    for target in panel["targets"]:
        assert list(wrong(target["expr"])) == []
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels_left(target["expr"])


@pytest.mark.parametrize(
    "expr",
    [
        "rate(sluice_decision_total[5m])",
        "sluice_decisions",
        "sluice_decision_seconds",
        "sluice_decision_seconds_total",
        'sluice_decisions_total{tier="nano"}',
        "sum by (tier) (sluice_decisions_total)",
    ],
)
def test_a_name_that_does_not_exist_is_noticed(expr: str) -> None:
    assert list(wrong(expr))


def test_panels_lie_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def series() -> dict[str, set[str]]:
    """Every time series that a worker exposes, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            labels = set(metric._labelnames)
            name = metric._name
            if isinstance(metric, Histogram):
                found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
            else:
                found[f"{name}_total" if isinstance(metric, Counter) else name] = labels
    own = (family for family in REGISTRY.collect() if family.name.startswith(("process_", "python_")))
    return found | {sample.name: set(sample.labels) for family in own for sample in family.samples}


SERIES = series()


def named(expr: str) -> set[str]:
    return {name for name, _ in _METRIC.findall(expr)}


def wrong(expr: str) -> Iterator[str]:
    """What of an expression does not exist. A metric has to have the labels of its matchers and of the nearest `by`
    before it."""
    for metric in _METRIC.finditer(expr):
        name, matchers = metric[1], metric[2] or ""
        if name not in SERIES:
            yield f"there is no {name}"
            continue
        grouped = labels_of(_BY.findall(expr[: metric.start()])[-1:])
        wanted = {*_LABEL.findall(matchers), *grouped}
        yield from (f"{name} has no label {label}" for label in wanted - SERIES[name] - _SCRAPED)


def labels_left(expr: str) -> set[str]:
    """Labels that a legend may show."""
    if grouped := _BY.findall(expr):
        return labels_of(grouped)
    return set().union(*(SERIES[name] for name in named(expr))) | _SCRAPED


def labels_of(clauses: list[str]) -> set[str]:
    return {label.strip() for clause in clauses for label in clause.split(",")}
