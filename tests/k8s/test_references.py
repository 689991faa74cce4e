"""What objects say of each other is there: names, labels, ports. And every pod of ours is closed as far as it goes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.k8s.validation import Object

WORKLOADS = ("Deployment", "StatefulSet", "Job")
BROUGHT = {"sluice-model"}  # Secrets that the user makes; the others come from Strimzi's operators
STRIMZIS = {"sluice", "kafka-cluster-ca-cert"}


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def pods(objects: list[Object]) -> Iterator[tuple[str, Any]]:
    """Name and pod template of every workload."""
    for each in of_kind(objects, *WORKLOADS):
        yield each["metadata"]["name"], each["spec"]["template"]


def ours(objects: list[Object]) -> dict[str, Any]:
    return {name: pod for name, pod in pods(objects) if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "sluice"}


def everywhere(tree: Any, key: str) -> Iterator[Any]:
    """Every value under `key`, at any depth."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from everywhere(value, key)
    elif isinstance(tree, list):
        for each in tree:
            yield from everywhere(each, key)


def test_what_pods_name_is_there(rendered: list[Object]) -> None:
    maps = {each["metadata"]["name"] for each in of_kind(rendered, "ConfigMap")}
    accounts = {each["metadata"]["name"] for each in of_kind(rendered, "ServiceAccount")}
    with_strimzi = bool(of_kind(rendered, "KafkaUser"))
    secrets = BROUGHT | (STRIMZIS if with_strimzi else set())
    for _, pod in pods(rendered):
        named = [*everywhere(pod, "configMapRef"), *everywhere(pod["spec"].get("volumes"), "configMap")]
        assert {each["name"] for each in named} <= maps
        assert set(everywhere(pod, "secretName")) <= secrets
        assert {each["name"] for each in everywhere(pod, "secretKeyRef")} <= secrets
        assert {pod["spec"].get("serviceAccountName")} <= accounts | {None}
        mounted = {mount["name"] for container in pod["spec"]["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_whoever_scales_or_looks_names_something_that_is_there(rendered: list[Object]) -> None:
    workloads = {each["metadata"]["name"]: each for each in of_kind(rendered, *WORKLOADS)}
    authentications = {each["metadata"]["name"] for each in of_kind(rendered, "TriggerAuthentication")}
    for scaled in of_kind(rendered, "ScaledObject"):
        target = workloads[scaled["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"], "every apply would undo what KEDA has set"
        assert {each["name"] for each in everywhere(scaled, "authenticationRef")} <= authentications
    for service in of_kind(rendered, "Service"):
        (chosen,) = [pod for _, pod in pods(rendered) if selects(service["spec"]["selector"], pod)]
        ports = {port["name"] for port in chosen["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for stateful in of_kind(rendered, "StatefulSet"):
        assert stateful["spec"]["serviceName"] in {each["metadata"]["name"] for each in of_kind(rendered, "Service")}


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy", "PodMonitor"])
def test_labels_choose_pods(kind: str, production: list[Object]) -> None:
    for each in of_kind(production, kind):
        selector = each["spec"].get("selector") or each["spec"]["podSelector"]
        assert any(selects(selector["matchLabels"], pod) for _, pod in pods(production)), each["metadata"]["name"]


def test_every_stage_has_a_budget_of_disruption(rendered: list[Object]) -> None:
    budgets = {each["metadata"]["name"] for each in of_kind(rendered, "PodDisruptionBudget")}
    assert budgets == ours(rendered).keys() - {"sluice-topics"}


def test_pods_of_ours_are_closed(rendered: list[Object]) -> None:
    found = ours(rendered)
    assert found.keys() >= {"sluice-triage", "sluice-mini", "sluice-flagship"}
    for name, pod in found.items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert not any("hostPath" in volume for volume in spec["volumes"]), name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"].keys() == {"requests", "limits"}, name
            for bound in container["resources"].values():
                assert bound.keys() == {"cpu", "memory"}, name


def test_no_secret_is_written_down(rendered: list[Object]) -> None:
    assert of_kind(rendered, "Secret") == []
    for name, pod in ours(rendered).items():
        for variable in pod["spec"]["containers"][0]["env"]:
            secret = any(word in variable["name"] for word in ("KEY", "PASSWORD", "TOKEN", "SECRET"))
            assert not (secret and "value" in variable), f"{name}: {variable['name']}"


def selects(labels: dict[str, str], pod: Any) -> bool:
    return labels.items() <= pod["metadata"]["labels"].items()
