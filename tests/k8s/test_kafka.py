"""Topics, rights and scaling in the production overlay are those of the catalog and of its policy."""

from pathlib import Path

import pytest
import yaml

from processors.policy import Policy
from streams import settings
from tests.k8s.crds import keda_parameters
from tests.k8s.test_references import of_kind
from tests.k8s.tools import ROOT
from tests.k8s.validation import Object
from topics import catalog, strimzi

POLICY = ROOT / "k8s" / "overlays" / "production" / "sluice.toml"
TOPICS = ROOT / "k8s" / "components" / "strimzi" / "topics.yaml"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return settings.load(POLICY)


@pytest.fixture(scope="module")
def inputs(policy: Policy) -> set[str]:
    return {topic for stream in policy.streams.values() for topic in stream.topics}


def test_the_topics_are_the_catalogs(policy: Policy) -> None:
    kafka = policy.kafka
    expected = strimzi.manifest(
        kafka.names, cluster="kafka", partitions=kafka.partitions, replicas=kafka.replication_factor
    )
    command = f"sluice --config {POLICY.relative_to(ROOT)} topics manifest > {TOPICS.relative_to(ROOT)}"
    assert TOPICS.read_text() == expected, f"run `{command}`"


def test_a_prefix_of_any_shape_gives_names_that_kubernetes_takes() -> None:
    text = strimzi.manifest(catalog.Names("_Team_A."), cluster="kafka", partitions=3, replicas=1)
    made = list(yaml.safe_load_all(text))
    assert [each["spec"]["topicName"] for each in made] == [f"_Team_A.{topic.name}" for topic in catalog.OWNED]
    assert made[0]["metadata"]["name"] == "team-a.decisions"
    assert len({each["metadata"]["name"] for each in made}) == len(catalog.OWNED)


def test_the_user_may_do_all_that_is_needed_and_no_more(
    production: list[Object], policy: Policy, inputs: set[str]
) -> None:
    (user,) = of_kind(production, "KafkaUser")
    rights = {
        (acl["resource"]["type"], acl["resource"]["name"], acl["resource"].get("patternType", "literal")): set(
            acl["operations"]
        )
        for acl in user["spec"]["authorization"]["acls"]
    }
    prefix = policy.kafka.prefix
    assert rights == {
        ("topic", prefix, "prefix"): {"Read", "Write", "Describe", "DescribeConfigs"},
        ("group", prefix, "prefix"): {"Read", "Describe"},
        ("transactionalId", prefix, "prefix"): {"Write", "Describe"},
        **{("topic", topic, "literal"): {"Read", "Describe"} for topic in inputs},
    }


def test_stages_are_scaled_by_the_lag_on_what_they_read(
    production: list[Object], policy: Policy, inputs: set[str]
) -> None:
    names = policy.kafka.names
    reads = {"triage": inputs, **{tier: {names.topic(catalog.escalations(tier))} for tier in ("mini", "flagship")}}
    scaled = {each["metadata"]["name"]: each["spec"] for each in of_kind(production, "ScaledObject")}
    assert scaled.keys() == {f"sluice-{stage}" for stage in reads}
    for stage, topics in reads.items():
        spec = scaled[f"sluice-{stage}"]
        watched = [trigger["metadata"] for trigger in spec["triggers"]]
        assert {each["topic"] for each in watched} == topics
        assert {each["consumerGroup"] for each in watched} == {names.group(stage)}
        assert spec["minReplicaCount"] >= 1, "with no worker nobody commits, and the lag of a new group is not known"
        assert spec["maxReplicaCount"] <= policy.kafka.partitions


@pytest.mark.timeout(600)  # the first time it downloads KEDA
def test_keda_knows_what_its_triggers_are_told(production: list[Object], tmp_path: Path) -> None:
    known = keda_parameters("kafka", tmp_path)
    for each in of_kind(production, "ScaledObject"):
        for trigger in each["spec"]["triggers"]:
            for name, value in trigger["metadata"].items():
                parameter = known[name.removesuffix("FromEnv")]
                assert name in known or parameter["envVariableReadable"]
                assert value in parameter.get("allowedValue", [value])
    (authentication,) = of_kind(production, "TriggerAuthentication")
    given = [*authentication["spec"]["env"], *authentication["spec"]["secretTargetRef"]]
    assert all(known[each["parameter"]]["triggerAuthenticationVariableReadable"] for each in given)
