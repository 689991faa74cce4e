"""The policies that ship beside the demo's: one for each labelled source, and the examples."""

from pathlib import Path
from typing import Any

import pytest

from local.eval import sources
from local.eval.sources import SourceSpec
from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.rules import Rules
from streams import settings
from tests.unit.test_samples import Taken

ROOT = Path(__file__).parents[2]
POLICIES = Path(__file__).parents[2] / "bench" / "policies"
SOURCES = sources.load(POLICIES)
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


@pytest.fixture(params=SOURCES.values(), ids=SOURCES)
def source(request: pytest.FixtureRequest) -> SourceSpec:
    spec: SourceSpec = request.param
    return spec


@pytest.fixture
def policy(source: SourceSpec) -> Policy:
    return settings.load(POLICIES / f"{source.name}.toml")


def record(label: str | None = None, **labels: object) -> dict[str, Any]:
    return {"id": "a-1", "label": label, "labels": labels}


def test_every_policy_has_its_source() -> None:
    files = {path.stem for path in POLICIES.glob("*.toml")} - {"sources"}
    assert files == set(SOURCES)


def test_a_source_has_one_stream_of_its_own_topic(source: SourceSpec, policy: Policy) -> None:
    (stream,) = policy.streams.values()
    assert stream.topics == (f"bench.{source.name}",)
    assert stream.kind == {"logs": "log", "emails": "email", "dialogues": "dialogue"}[source.name.split(".")[0]]


def test_gold_and_positive_are_labels_of_the_policy(source: SourceSpec, policy: Policy) -> None:
    (stream,) = policy.streams.values()
    if source.values:
        assert set(source.values.values()) == set(stream.labels)
    if source.positive is not None:
        assert source.positive in stream.labels


def test_only_a_rare_positive_label_escalates(source: SourceSpec, policy: Policy) -> None:
    (stream,) = policy.streams.values()
    escalating = {name for name, label in stream.labels.items() if label.escalate in ("mini", "flagship")}
    assert escalating == ({source.positive} if source.name == "logs.bgl" else set())


def test_gold_is_read_from_the_label() -> None:
    assert SOURCES["logs.bgl"].gold_of(record("alert")) == "alert"
    assert SOURCES["logs.bgl"].gold_of(record(None)) is None
    assert SOURCES["emails.tickets"].gold_of(record("HR Support")) == "hr_support"


def test_gold_is_read_from_an_entry_of_labels() -> None:
    star = SOURCES["dialogues.star"]
    assert star.gold_of(record("bank_balance", escalate=True)) == "escalate"
    assert star.gold_of(record("bank_balance", escalate=False)) == "routine"
    assert star.gold_of(record("bank_balance")) is None


def test_a_value_without_a_label_is_an_error() -> None:
    with pytest.raises(KeyError, match="Gardening"):
        SOURCES["emails.tickets"].gold_of(record("Gardening"))


def test_lines_of_a_block_are_one_unit() -> None:
    assert SOURCES["logs.hdfs"].unit_of(record("normal", block="blk_1")) == "blk_1"
    assert SOURCES["logs.bgl"].unit_of(record("normal")) == "a-1"


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_the_examples_are_policies(path: Path) -> None:
    assert settings.load(path).streams


def test_the_first_example_is_ten_lines() -> None:
    lines = (ROOT / "examples" / "minimal.toml").read_text().splitlines()
    assert sum(1 for line in lines if line.strip()) <= 10


def test_the_teams_rules_decide_as_its_tests_expect() -> None:
    policy = settings.load(ROOT / "examples" / "team.toml")
    machines = policy.streams["machines"]
    labels = {}
    for number, test in enumerate(test for test in policy.tests if test.stream == "machines"):
        item = normaliser_for("machines", machines).read(
            Taken("syslog.servers", 0, number, 0, None, test.text.encode(), ())
        )
        assert isinstance(item, Item)
        held = Rules(machines).first(item)
        assert held is not None
        assert held.verdict is not None
        labels[held.rule.name] = (held.verdict.label, test.expect.label)
    assert labels == {"infusion-network": ("outage", "outage"), "test-systems": ("routine", "routine")}
