"""The CustomResourceDefinitions of Strimzi, KEDA and the Prometheus operator, as their makers publish them.

Each comes from a package registry in a version that is pinned with its checksum; none is copied into the project.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from local import jars, java
from processors.errors import SluiceError
from tests.k8s.tools import go_module, missing

STRIMZI = "1.2.0"
_STRIMZI_LOCK = Path(__file__).with_name("strimzi-crds.lock")
_STRIMZI_JAVA_MIN = 21
_STRIMZI_KINDS = {
    "KafkaTopic": "io.strimzi.api.kafka.model.topic.KafkaTopic",
    "KafkaUser": "io.strimzi.api.kafka.model.user.KafkaUser",
}
_KEDA = ("github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=")
_PROMETHEUS = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)

Crd = dict[str, Any]


def all_of_them(work: Path) -> list[Crd]:
    """`work`: an empty folder."""
    files = [*_strimzi(work), *_keda(work), *_prometheus(work)]
    return [yaml.safe_load(file.read_text()) for file in files]


def keda_parameters(trigger: str, work: Path) -> dict[str, dict[str, Any]]:
    """What KEDA knows of a trigger's metadata, by name; its CRD admits any."""
    schema = yaml.safe_load((go_module(*_KEDA, work) / "schema/generated/scalers-schema.yaml").read_text())
    (scaler,) = (scaler for scaler in schema["scalers"] if scaler["type"] == trigger)
    return {parameter["name"]: parameter for parameter in scaler["parameters"]}


def _strimzi(work: Path) -> Iterator[Path]:
    try:
        home = jars.fetch(print, lock=_STRIMZI_LOCK, name=f"strimzi-crds-{STRIMZI}")
    except SluiceError as error:
        missing(str(error))
    program = java.system()
    if program is None or java.major_version(program) < _STRIMZI_JAVA_MIN:
        program = java.bundled()
    if program is None:
        missing(f"there is no Java {_STRIMZI_JAVA_MIN} or later")
    made = {work / f"{kind}.yaml": name for kind, name in _STRIMZI_KINDS.items()}
    versions = ["--target-kube", "1.16+", "--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1"]
    command = [program, "-cp", f"{home}/*", "io.strimzi.crdgenerator.CrdGenerator", *versions, "--yaml"]
    subprocess.run([*command, *(f"{name}={file}" for file, name in made.items())], check=True, timeout=60)
    yield from made


def _keda(work: Path) -> Iterator[Path]:
    folder = go_module(*_KEDA, work) / "config/crd/bases"
    for kind in ("scaledobjects", "triggerauthentications"):
        yield folder / f"keda.sh_{kind}.yaml"


def _prometheus(work: Path) -> Iterator[Path]:
    folder = go_module(*_PROMETHEUS, work) / "example/prometheus-operator-crd"
    for kind in ("podmonitors", "prometheusrules"):
        yield folder / f"monitoring.coreos.com_{kind}.yaml"
