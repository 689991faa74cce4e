"""What both overlays render is valid, custom resources too; and a slip of the pen in any kind of object is noticed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.k8s.conftest import OVERLAYS
from tests.k8s.validation import Object, Validation

Path = tuple[str | int, ...]

pytestmark = pytest.mark.timeout(600)  # of a test and its fixtures: the first one ever downloads the definitions

# By kind: a key as it is, and as a hurried hand would write it
MISSPELT: dict[str, tuple[Path, str]] = {
    "ConfigMap": (("data",), "date"),
    "Deployment": (("spec", "template", "spec", "containers", 0, "securityContext", "capabilities", "drop"), "dropp"),
    "Job": (("spec", "ttlSecondsAfterFinished"), "ttlSecondAfterFinished"),
    "KafkaTopic": (("spec", "partitions"), "partition"),
    "KafkaUser": (("spec", "authorization", "acls", 0, "resource", "patternType"), "pattern"),
    "Namespace": (("metadata", "labels"), "label"),
    "NetworkPolicy": (("spec", "podSelector", "matchLabels"), "matchLabel"),
    "PodDisruptionBudget": (("spec", "maxUnavailable"), "maxUnavailble"),
    "PodMonitor": (("spec", "podMetricsEndpoints", 0, "interval"), "intervall"),
    "PrometheusRule": (("spec", "groups", 0, "rules", 0, "annotations"), "annotation"),
    "ScaledObject": (("spec", "maxReplicaCount"), "maxReplicasCount"),
    "Service": (("spec", "ports", 0, "targetPort"), "targetport"),
    "ServiceAccount": (("automountServiceAccountToken",), "autoMountServiceAccountToken"),
    "StatefulSet": (("spec", "template", "spec", "terminationGracePeriodSeconds"), "terminationGracePeriod"),
    "TriggerAuthentication": (("spec", "secretTargetRef", 0, "parameter"), "param"),
}
# By kind: a place, and a value that is not to be there
WRONG: dict[str, tuple[Path, Any]] = {
    "Deployment": (("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "9464"),
    "KafkaTopic": (("spec", "replicas"), 0),
    "KafkaUser": (("spec", "authorization", "acls", 0, "operations", 0), "Reed"),
    "NetworkPolicy": (("spec", "policyTypes"), "Ingress"),
    "PodMonitor": (("spec", "podMetricsEndpoints", 0, "interval"), "15 s"),
    "PrometheusRule": (("spec", "groups", 0, "rules", 0, "for"), "5 minutes"),
    "ScaledObject": (("spec", "triggers", 0, "metadata", "lagThreshold"), 64),
    "TriggerAuthentication": (("spec", "env", 0, "name"), 1),
}


def test_everything_is_valid(rendered: list[Object], validation: Validation) -> None:
    found = {f"{each['kind']}/{each['metadata']['name']}": validation.problems(each) for each in rendered}
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_every_kind_has_its_slip(render: Callable[[str], list[Object]], validation: Validation) -> None:
    kinds = {each["kind"] for overlay in OVERLAYS for each in render(overlay)}
    assert kinds == MISSPELT.keys()
    assert validation.custom_kinds() <= kinds, "a definition is fetched for nothing"


@pytest.mark.parametrize("kind", MISSPELT)
def test_a_misspelt_key_is_noticed(kind: str, render: Callable[[str], list[Object]], validation: Validation) -> None:
    (*path, key), wrong = MISSPELT[kind]
    slip = an_object(kind, render, has=(*path, key))
    place = at(slip, tuple(path))
    place[wrong] = place.pop(key)
    assert any(wrong in problem or f"'{key}'" in problem for problem in validation.problems(slip))


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_value_is_noticed(kind: str, render: Callable[[str], list[Object]], validation: Validation) -> None:
    (*path, key), wrong = WRONG[kind]
    slip = an_object(kind, render, has=(*path, key))
    at(slip, tuple(path))[key] = wrong
    assert any(repr(wrong) in problem or str(wrong) in problem for problem in validation.problems(slip))


def test_an_unknown_version_of_a_kind_is_noticed(validation: Validation) -> None:
    slip = {"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaTopic", "metadata": {"name": "x"}, "spec": {}}
    assert any("Couldn't find schema" in problem for problem in validation.problems(slip))


def an_object(kind: str, render: Callable[[str], list[Object]], *, has: Path) -> Object:
    """A copy of the first one of the kind that has the place."""
    for each in (each for overlay in OVERLAYS for each in render(overlay) if each["kind"] == kind):
        try:
            at(each, has)
        except (KeyError, IndexError):
            continue
        return copy.deepcopy(each)
    raise AssertionError(f"no {kind} has {has}")


def at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree
